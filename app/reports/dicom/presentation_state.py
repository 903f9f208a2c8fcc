"""DICOM Grayscale Softcopy Presentation State: outlines, shares and score to be switched on over the radiograph."""

from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from typing import Any, Final

import numpy as np
from highdicom import VOILUT, ModalityLUTTransformation, PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextObject,
)
from numpy.typing import NDArray

from app.intake.dicom.grayscale import IDENTITY, Grayscale, Lookup
from app.reports.contours import contours
from app.reports.dicom import coding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.encoding import encode, refer_to_class, single_frame
from app.reports.schema import NOTICE
from app.reports.words import readable, summarise
from models.analysis import Analysis
from models.anatomy.severity import ZONES
from models.pixels import Mask

SERIES_NUMBER: Final = 9004
_MAX_POINTS: Final = 8000
"""Of one line: Graphic Data has a length of 16 bits, and eight bytes a point."""
_LAYERS: Final = {"LUNGS": (0, 255, 255), "ZONES": (255, 255, 255), "DISEASE": (255, 30, 30), "TEXT": (255, 230, 0)}
"""Each with the overlay's colour, red, green, blue; in the order in which they are drawn."""
_HEADING: Final = (0.02, 0.01, 0.98, 0.06)
"""Left, top, right and bottom of the score's box, as shares of the display."""


def write_presentation_state(content: ReportContent, shown: Grayscale) -> bytes:
    """The presentation state as a DICOM file (PS3.3, section A.33.1).

    A viewer shows the radiograph as ``shown`` says, which is what the networks saw. Each kind of annotation is in a
    layer of its own. Without a score there are no disease and no shares, as in the overlay.
    """
    identity, threshold, image = content.identity, content.analysis.threshold, single_frame(content.header.image)
    # highdicom checks that it is gray.
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    layers = {
        name: GraphicLayer(name, order, display_color=CIELabColor.from_rgb(*colour))
        for order, (name, colour) in enumerate(_LAYERS.items(), start=1)
    }
    lines, texts = _lines(content.analysis), [_heading(content.analysis), *_shares(content.analysis)]
    annotations = [GraphicAnnotation([image], layers["TEXT"], text_objects=texts)]
    annotations += [
        GraphicAnnotation([image], layers[name], graphic_objects=found) for name, found in lines.items() if found
    ]
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=identity.uid("presentation", "series", threshold),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid("presentation", "instance", threshold),
        instance_number=1,
        content_label="LUNG_SEVERITY",
        content_description=NOTICE,
        graphic_annotations=annotations,
        graphic_layers=list(layers.values()),
        series_description="Lung severity annotations. Research use only",
        **_transformations(shown),
        **identity.equipment,
    )
    refer_to_class(state, content.header.image.SOPClassUID)
    # Both lungs are shown (General Series, PS3.3, section C.7.3.1).
    state.Laterality = ""
    return encode(state, content.header)


def _transformations(shown: Grayscale) -> dict[str, Any]:
    """As arguments of highdicom's constructor: how stored values become gray."""
    found: dict[str, Any] = {
        "presentation_lut_transformation": PresentationLUTTransformation("INVERSE" if shown.inverted else "IDENTITY")
    }
    if shown.voi is None:
        return found
    if isinstance(shown.modality, Lookup):
        # As one table: a Modality LUT of its own has to use all of 8 or 16 bits, which few do.
        shares = shown.voi.shares(shown.modality.entries)
        return {**found, "voi_lut_transformations": [_table(shown.modality.first, shares)]}
    slope, intercept = shown.modality
    if (slope, intercept) != IDENTITY:
        found["modality_lut_transformation"] = ModalityLUTTransformation(intercept, slope, "US")
    if isinstance(shown.voi, Lookup):
        found["voi_lut_transformations"] = [_table(shown.voi.first, shown.voi.entries / shown.voi.top)]
    else:
        window = shown.voi
        found["voi_lut_transformations"] = [
            SoftcopyVOILUTTransformation(window.centre, window.width, voi_lut_function=window.function)
        ]
    return found


def _table(first: int, shares: NDArray[np.float64]) -> SoftcopyVOILUTTransformation:
    """``shares`` of white 0..1 [N] for the values from ``first`` on."""
    entries = np.rint(shares * np.iinfo(np.uint16).max).astype(np.uint16)
    table = VOILUT(0, entries)
    # highdicom takes no value below zero. The count has no sign whatever the others have (pydicom writes it so).
    table.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) & 0xFFFF, first, 16])
    return SoftcopyVOILUTTransformation(voi_luts=[table])


def _lines(analysis: Analysis) -> dict[str, list[GraphicObject]]:
    """The outlines by layer."""
    zones = [analysis.zones == label for label in range(1, len(ZONES) + 1)]
    lungs = [np.logical_or.reduce(zones[first : first + 3]) for first in (0, 3)]
    disease = [analysis.disease] if analysis.score is not None else []
    return {"LUNGS": _outlines(lungs), "ZONES": _outlines(zones), "DISEASE": _outlines(disease)}


def _outlines(masks: Iterable[Mask]) -> list[GraphicObject]:
    return [
        GraphicObject("POLYLINE", piece, "PIXEL")
        for mask in masks
        for polygon in contours(mask)
        for piece in _pieces(polygon)
    ]


def _pieces(polygon: Sequence[Sequence[int]]) -> Iterator[NDArray[np.float64]]:
    """A closed line through pixels' centres, in pieces that can be written: the first pixel's corner is 0, 0."""
    points = np.array([*polygon, polygon[0]], np.float64) + 0.5
    for start in range(0, len(points) - 1, _MAX_POINTS - 1):
        yield points[start : start + _MAX_POINTS]


def _heading(analysis: Analysis) -> TextObject:
    return TextObject(
        f"{summarise(analysis)}. Research use only", "DISPLAY", bounding_box=_HEADING, text_justification="LEFT"
    )


def _shares(analysis: Analysis) -> list[TextObject]:
    """Each zone's share, in its middle."""
    if analysis.score is None:
        return []
    texts = []
    for zone in coding.ZONES:
        rows, columns = np.nonzero(analysis.zones == ZONES.index(zone) + 1)
        share = analysis.by_zone[zone]
        if len(rows) and not isnan(share):
            middle = float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
            text = f"{readable(zone)} {share:.0%}"
            texts.append(TextObject(text, "PIXEL", anchor_point=middle, anchor_point_visible=False))
    return texts
