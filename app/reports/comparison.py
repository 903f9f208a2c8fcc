"""Two radiographs of one patient: both answers and what changed between them."""

from app.errors import DifferentPatients
from app.intake import Radiograph
from app.reports import report, schema
from app.reports.answers import Finding, score_report
from app.reports.overlay import MAX_SIDE
from models.analysis import Analysis
from models.anatomy.severity import ZONES


def check_same_patient(earlier: Radiograph, later: Radiograph) -> None:
    """Refuses two radiographs whose headers name different patients; without numbers the caller is believed.

    Raises:
        DifferentPatients: both have a Patient ID, and these differ.
    """
    numbers = [str(one.source.get("PatientID", "") or "").strip() if one.source else "" for one in (earlier, later)]
    if all(numbers) and numbers[0] != numbers[1]:
        raise DifferentPatients("The two radiographs' headers have different Patient IDs")


def comparison_json(earlier: Finding, later: Finding) -> bytes:
    """A ``ComparisonReport``, with both overlays at the same scale: their longer sides are equal."""
    side = min(MAX_SIDE, *(max(finding.radiograph.pixels.shape) for finding in (earlier, later)))
    return (
        schema.ComparisonReport(
            request_id=later.request_id,
            earlier=score_report(earlier, side),
            later=score_report(later, side),
            change=_change(earlier.analysis, later.analysis),
        )
        .model_dump_json()
        .encode()
    )


def _change(earlier: Analysis, later: Analysis) -> schema.Change:
    if earlier.score is None or later.score is None:
        zones = [schema.ZoneChange(zone=zone, change=None, exceeds_repeat=None) for zone in report.ZONE_NAMES]
        return schema.Change(score=None, diseased_share=None, zones=zones)
    return schema.Change(
        score=later.score - earlier.score,
        diseased_share=_difference(earlier.diseased_share, later.diseased_share),
        zones=[_zone_change(zone, earlier, later) for zone in report.ZONE_NAMES],
    )


def _zone_change(zone: schema.ZoneName, earlier: Analysis, later: Analysis) -> schema.ZoneChange:
    shares = earlier.by_zone[zone], later.by_zone[zone]
    exceeds = None
    if earlier.spread is not None and later.spread is not None:
        place = ZONES.index(zone)
        intervals = earlier.spread.shares[place], later.spread.shares[place]
        # Each share against the other's interval.
        exceeds = all(not low <= share <= high for share, (low, high) in zip(shares, reversed(intervals), strict=True))
    return schema.ZoneChange(zone=zone, change=_difference(*shares), exceeds_repeat=exceeds)


def _difference(earlier: float | None, later: float | None) -> float | None:
    return None if earlier is None or later is None else report.rounded(later - earlier)
