"""Converts an ``Analysis`` to the parts of the JSON answer."""

from base64 import b64encode
from dataclasses import asdict
from math import isnan

import numpy as np
from numpy.typing import NDArray

from app.intake import Radiograph
from app.intake.dicom import read_header
from app.reports import schema
from app.reports.contours import contours
from app.reports.overlay import MAX_SIDE, PictureFormat, draw_overlay, encode_mask, encode_picture, shrunk
from app.version import BUILD, VERSION
from models.analysis import Analysis
from models.anatomy.severity import ZONES
from models.runtime.stage import Stage
from models.workflow import Workflow

ZONE_NAMES: tuple[schema.ZoneName, ...] = (
    "right_upper",
    "right_middle",
    "right_lower",
    "left_upper",
    "left_middle",
    "left_lower",
)
_PLACES = 4


def report_zones(analysis: Analysis) -> list[schema.Zone]:
    """The six zones by the patient's side, from top to bottom."""
    shares = analysis.by_zone
    return [_report_zone(analysis, zone, shares[zone]) for zone in ZONE_NAMES]


def report_uncertainty(analysis: Analysis) -> schema.Uncertainty | None:
    """The range of the score, if it was asked for."""
    found = analysis.spread
    if found is None:
        return None
    return schema.Uncertainty(score_range=found.scores and list(found.scores), coverage=found.coverage)


def report_models(workflow: Workflow) -> schema.Models:
    """The weights that answered."""
    lungs, disease = _report_model(workflow.lungs), _report_model(workflow.disease)
    return schema.Models(lungs=lungs, disease=disease, service=VERSION, build=BUILD)


def report_image(radiograph: Radiograph) -> schema.Image:
    """The radiograph as it was received."""
    header = None if radiograph.source is None else read_header(radiograph.source)
    return schema.Image(
        format=radiograph.format,
        width=radiograph.width,
        height=radiograph.height,
        sha256=radiograph.sha256,
        dicom=None if header is None else schema.Dicom(**asdict(header)),
    )


def report_quality(analysis: Analysis) -> schema.Quality:
    """Whether the radiograph could be scored, and its flags."""
    return schema.Quality(scorable=analysis.score is not None, flags=list(analysis.flags))


def report_overlay(
    pixels: NDArray[np.uint8], analysis: Analysis, format: PictureFormat, max_side: int = MAX_SIDE
) -> schema.Picture:
    """The overlay, drawn and encoded."""
    return _report_picture(draw_overlay(pixels, analysis, max_side), format)


def report_radiograph(pixels: NDArray[np.uint8]) -> schema.Picture:
    """The radiograph itself, uint8 [H, W], as a gray JPEG of the overlay's size."""
    return _report_picture(shrunk(pixels, MAX_SIDE), "jpeg")


def report_masks(analysis: Analysis, with_contours: bool) -> schema.Masks:
    """Both masks as PNG, with polygons of the masks and of the zones if asked for."""
    return schema.Masks(
        lungs=_report_mask(analysis.lungs, with_contours),
        disease=_report_mask(analysis.disease, with_contours),
        zones=_zone_contours(analysis) if with_contours else None,
    )


def rounded(value: float | None) -> float | None:
    """``value`` rounded to its meaningful decimals."""
    return None if value is None else round(value, _PLACES)


def _report_zone(analysis: Analysis, zone: schema.ZoneName, share: float) -> schema.Zone:
    if isnan(share):
        return schema.Zone(zone=zone, share=None, affected=None)
    interval = None
    if analysis.spread is not None:
        least, most = analysis.spread.shares[ZONES.index(zone)]
        interval = [round(least, _PLACES), round(most, _PLACES)]
    return schema.Zone(zone=zone, share=round(share, _PLACES), affected=analysis.affects(share), interval=interval)


def _report_picture(picture: NDArray[np.uint8], format: PictureFormat) -> schema.Picture:
    """Encodes a picture uint8 [h, w, 3] BGR, or [h, w] gray."""
    media_type, data = encode_picture(picture, format)
    height, width = picture.shape[:2]
    return schema.Picture(media_type=media_type, width=width, height=height, data=b64encode(data).decode())


def _zone_contours(analysis: Analysis) -> dict[schema.ZoneName, list[list[list[int]]]]:
    polygons = {zone: contours(analysis.zones == ZONES.index(zone) + 1) for zone in ZONE_NAMES}
    return {zone: found for zone, found in polygons.items() if found}


def _report_mask(mask: NDArray[np.bool_], with_contours: bool) -> schema.MaskPicture:
    return schema.MaskPicture(
        data=b64encode(encode_mask(mask)).decode(), contours=contours(mask) if with_contours else None
    )


def _report_model(stage: Stage) -> schema.Model:
    card = stage.card
    if card is None:
        architecture = type(stage.network).__name__
        return schema.Model(
            name="unnamed", architecture=architecture, encoder="", sha256=None, precision=stage.precision
        )
    return schema.Model(
        name=card.name,
        architecture=card.display_architecture,
        encoder=card.encoder,
        sha256=card.sha256,
        precision=stage.precision,
    )
