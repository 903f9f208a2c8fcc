"""Renders an analysed radiograph as the body of an answer; runs in the host pool."""

from dataclasses import dataclass
from typing import Any

from app.intake import Radiograph
from app.reports import report, schema
from app.reports.overlay import MAX_SIDE, PictureFormat, draw_overlay, encode_picture
from app.reports.words import narrate
from app.timing import Stopwatch
from models.analysis import Analysis
from models.anatomy.severity import MAX_SCORE


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Everything that an answer is made from.

    Attributes:
        models: the networks that answered.
        overlay: how the overlay is encoded; None: no overlay.
        clock: the request's stopwatch, to which drawing and encoding are added.
    """

    request_id: str
    radiograph: Radiograph
    analysis: Analysis
    models: schema.Models
    overlay: PictureFormat | None
    clock: Stopwatch


def score_json(finding: Finding) -> bytes:
    """A ``ScoreReport``."""
    return score_report(finding).model_dump_json().encode()


def score_report(finding: Finding, max_side: int = MAX_SIDE) -> schema.ScoreReport:
    """What ``/score`` says; an overlay's longer side has ``max_side`` pixels at most."""
    return schema.ScoreReport(**_fields(finding, max_side))


def segment_json(finding: Finding, contours: bool, radiograph: bool) -> bytes:
    """A ``SegmentReport``, with each mask's polygons and the radiograph itself where asked for."""
    with finding.clock.measure("render"):
        masks = report.report_masks(finding.analysis, contours)
        picture = report.report_radiograph(finding.radiograph.pixels) if radiograph else None
    return schema.SegmentReport(**_fields(finding), masks=masks, radiograph=picture).model_dump_json().encode()


def score_text(finding: Finding) -> bytes:
    """Three lines of text, to read or to paste into a report."""
    return "\n".join([*narrate(finding.analysis), ""]).encode()


def overlay_png(finding: Finding) -> bytes:
    """The overlay alone."""
    with finding.clock.measure("render"):
        return encode_picture(draw_overlay(finding.radiograph.pixels, finding.analysis), "png")[1]


def _fields(finding: Finding, max_side: int = MAX_SIDE) -> dict[str, Any]:
    analysis, radiograph = finding.analysis, finding.radiograph
    overlay = None
    if finding.overlay is not None:
        with finding.clock.measure("render"):
            overlay = report.report_overlay(radiograph.pixels, analysis, finding.overlay, max_side)
    return {
        "request_id": finding.request_id,
        "score": analysis.score,
        "max_score": MAX_SCORE,
        "threshold": analysis.threshold,
        "margin": report.rounded(analysis.margin),
        "zones": report.report_zones(analysis),
        "diseased_share": report.rounded(analysis.diseased_share),
        "disease_probability": report.rounded(analysis.disease_probability),
        "uncertainty": report.report_uncertainty(analysis),
        "quality": report.report_quality(analysis),
        "image": report.report_image(radiograph),
        "models": finding.models,
        "overlay": overlay,
        "timings_ms": schema.Timings(**finding.clock.milliseconds()),
    }
