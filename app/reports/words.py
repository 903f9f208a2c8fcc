"""What is found, in words."""

from models.analysis import Analysis
from models.anatomy.severity import MAX_SCORE
from models.quality import MIRRORED, refusal_reasons


def readable(code: str) -> str:
    """``lungs_not_found`` as ``Lungs not found``."""
    return code.replace("_", " ").capitalize()


def refusals(analysis: Analysis) -> tuple[str, ...]:
    """The flags for which there is no score; none where there is one."""
    return refusal_reasons(analysis.flags) if analysis.score is None else ()


def summarise(analysis: Analysis) -> str:
    """The score, or that there is none, and why."""
    if analysis.score is None:
        return f"No score is given. {', '.join(map(readable, refusals(analysis)))}".rstrip()
    doubt = ". Perhaps mirrored: right and left may be exchanged" if MIRRORED in analysis.flags else ""
    return f"Lung severity score {analysis.score} of {MAX_SCORE}{doubt}"
