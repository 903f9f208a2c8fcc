"""The self-test: a built-in picture with a known answer shows whether this device computes correctly."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from models.analysis import Analysis
from models.phantom import draw_phantom
from models.pixels import Pixels
from models.precision import Precision
from models.runtime.errors import NotFiniteError
from models.workflow import Workflow

KNOWN = Path(__file__).parent / "weights" / "self_test.json"
TOLERANCES: Final[Mapping[Precision, float]] = {"float32": 0.02, "float16": 0.02, "bfloat16": 0.08, "int8": 0.08}
"""How far a share may lie from the known answer in float32, by the less exact of the two stages' formats: at least
twice what the format itself changes."""


class SelfTestError(RuntimeError):
    """The networks do not give the answer that they should."""


def draw_test_picture() -> Pixels:
    """The phantom with haze in two zones, uint8 [512, 512]."""
    return draw_phantom(512, diseased=("right_lower", "left_middle"))


def run_self_test(workflow: Workflow) -> Analysis:
    """Analyses the phantom and compares the answer with what these weights are known to give.

    Weights without a known answer only have to answer with probabilities.

    Raises:
        SelfTestError: the answer differs.
    """
    picture = draw_test_picture()
    for stage in (workflow.lungs, workflow.disease):
        try:
            maps, _ = stage.predict([picture])
        except NotFiniteError as error:
            raise SelfTestError(f"self-test: expected probabilities: {error}") from error
        if not (maps.min() >= 0 and maps.max() <= 1):
            raise SelfTestError(f"self-test: expected probabilities, found {maps.min()} to {maps.max()}")
    analysis = workflow.analyse(picture)
    known = known_shares(workflow)
    tolerance = max(TOLERANCES[stage.precision] for stage in (workflow.lungs, workflow.disease))
    if known is not None and not np.allclose(analysis.shares, known, atol=tolerance):
        raise SelfTestError(f"self-test: expected shares {known}, found {rounded(analysis)}")
    return analysis


def known_shares(workflow: Workflow) -> list[float] | None:
    """The recorded shares that this pair of weights gives for the phantom in float32; None without a record."""
    if not KNOWN.is_file():
        return None
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    return known["shares"] if known["weights"] == _fingerprints(workflow) else None


def record(workflow: Workflow) -> None:
    """Records this pair's answer as the known one."""
    analysis = workflow.analyse(draw_test_picture())
    known = {"weights": _fingerprints(workflow), "shares": rounded(analysis), "score": analysis.score}
    KNOWN.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def rounded(analysis: Analysis) -> list[float]:
    """The shares to four decimal places."""
    return [round(share, 4) for share in analysis.shares]


def _fingerprints(workflow: Workflow) -> dict[str, str | None]:
    stages = {"lungs": workflow.lungs, "disease": workflow.disease}
    return {role: stage.card.sha256 if stage.card else None for role, stage in stages.items()}
