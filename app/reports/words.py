"""The finding in words that a radiologist can read and paste into a report."""

from collections.abc import Mapping
from typing import Final

from app.reports.schema import NOTICE
from models.analysis import Analysis
from models.anatomy.severity import MAX_SCORE
from models.quality import MIRRORED, refusal_reasons

ENGLISH: Final[Mapping[str, str]] = {
    "score": "Lung severity score {score} of {most}",
    "range": "{text} (range {least} to {greatest})",
    "no score": "No score is given. {reasons}",
    "mirrored": "{text}. Perhaps mirrored: right and left may be exchanged",
    "affected": "Affected zones (over {threshold:.0f} %): {zones}",
    "none affected": "No zone is affected (over {threshold:.0f} %)",
    "zone": "{zone} {share:.0f} %",
    "not assessed": "The zones were not assessed",
    "doubts": "Doubts: {doubts}. {notice}",
    "no doubts": "No doubts. {notice}",
}
"""All phrases; another language is another table of the same keys."""


def readable(code: str) -> str:
    """``lungs_not_found`` as ``Lungs not found``."""
    return code.replace("_", " ").capitalize()


def refusals(analysis: Analysis) -> tuple[str, ...]:
    """The flags because of which there is no score; empty where there is one."""
    return refusal_reasons(analysis.flags) if analysis.score is None else ()


def summarise(analysis: Analysis) -> str:
    """The score, or why there is none."""
    if analysis.score is None:
        return ENGLISH["no score"].format(reasons=", ".join(map(readable, refusals(analysis)))).rstrip()
    text = ENGLISH["score"].format(score=analysis.score, most=MAX_SCORE)
    return ENGLISH["mirrored"].format(text=text) if MIRRORED in analysis.flags else text


def narrate(analysis: Analysis) -> tuple[str, str, str]:
    """Three lines: the score, the affected zones, and the doubts with the notice."""
    return f"{_ranged(analysis)}.", f"{describe_zones(analysis)}.", _doubts(analysis)


def describe_zones(analysis: Analysis) -> str:
    """The affected zones with their shares, by the patient's side."""
    if analysis.score is None:
        return ENGLISH["not assessed"]
    zones = ", ".join(
        ENGLISH["zone"].format(zone=readable(zone).lower(), share=100 * share)
        for zone, share in analysis.by_zone.items()
        if analysis.affects(share)
    )
    phrase = ENGLISH["affected"] if zones else ENGLISH["none affected"]
    return phrase.format(threshold=100 * analysis.threshold, zones=zones)


def _ranged(analysis: Analysis) -> str:
    text = summarise(analysis)
    if analysis.score is None or analysis.score_range is None:
        return text
    least, greatest = analysis.score_range
    return ENGLISH["range"].format(text=text, least=least, greatest=greatest)


def _doubts(analysis: Analysis) -> str:
    doubts = ", ".join(readable(flag).lower() for flag in analysis.flags if flag not in refusals(analysis))
    return ENGLISH["doubts" if doubts else "no doubts"].format(doubts=doubts, notice=NOTICE)
