"""DICOM Segmentation: both lungs by the patient's side, disease, and the six zones."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from app.reports.dicom import coding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.encoding import encode, refer_to_class, single_frame
from app.reports.dicom.identity import PRODUCT, weights_parameters
from app.reports.schema import NOTICE
from app.reports.words import readable
from models.analysis import Analysis
from models.anatomy.severity import ZONES

SERIES_NUMBER: Final = 9001

Stage: TypeAlias = Literal["lungs", "disease"]
_ZONE_COLOURS: Final = {"upper": (255, 220, 0), "middle": (120, 200, 80), "lower": (60, 120, 230)}
"""Recommended display colours, red, green, blue."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """What one segment shows.

    Attributes:
        category, structure: Segmented Property Category and Type.
        side: of the patient; None: both.
        found_by: the stage whose network found it.
    """

    label: str
    category: Code
    structure: Code
    side: Code | None
    colour: tuple[int, int, int]
    found_by: Stage


_SEGMENTS: Final[dict[str, _Segment]] = {
    "right_lung": _Segment("Right lung", coding.ANATOMY, coding.LUNG, coding.RIGHT, (0, 255, 255), "lungs"),
    "left_lung": _Segment("Left lung", coding.ANATOMY, coding.LUNG, coding.LEFT, (0, 190, 190), "lungs"),
    "disease": _Segment("Opacity", coding.ABNORMALITY, coding.OPACITY, None, (255, 30, 30), "disease"),
    **{
        zone: _Segment(
            readable(f"{zone}_zone"), coding.ANATOMY, structure, side, _ZONE_COLOURS[zone.split("_")[1]], "lungs"
        )
        for zone, (structure, side) in coding.ZONES.items()
    },
}
SEGMENTS: Final = tuple(_SEGMENTS)
"""In the order of their numbers, which begin at 1. Each has the frame with its number, even if that is empty."""


def segment_number(segment: str) -> int:
    """The number of one of ``SEGMENTS`` and of its frame."""
    return SEGMENTS.index(segment) + 1


def write_segmentation(content: ReportContent) -> bytes:
    """Writes the masks as a DICOM file (PS3.3, section A.51): binary, on the radiograph's pixel grid.

    It has no other geometry: a projection has no position in a frame of reference and no slice thickness, and the
    radiograph that each frame refers to says what is known about the size of its pixels.
    """
    identity = content.identity
    segmentation = Segmentation(
        source_images=[single_frame(content.header.image)],
        # highdicom requires segments last; as a transposed view, each segment's pixels stay contiguous in memory.
        pixel_array=_segment_pixels(content.analysis).transpose(1, 2, 0)[None],
        segmentation_type="BINARY",
        segment_descriptions=_describe_segments(content),
        series_instance_uid=identity.uid("segmentation", "series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid("segmentation", "instance"),
        instance_number=1,
        series_description="Lungs, zones, opacity. Research use only",
        content_label="LUNG_SEVERITY",
        content_description=NOTICE,
        omit_empty_frames=False,
        **identity.equipment,
    )
    _name_dimensions(segmentation, identity.uid("segmentation", "dimensions"))
    refer_to_class(segmentation, content.header.image.SOPClassUID)
    segmentation.PatientOrientation = list(content.header.orientation)
    return encode(segmentation, content.header)


def _segment_pixels(analysis: Analysis) -> NDArray[np.uint8]:
    """uint8 [9, H, W], 0 and 1, in the order of ``SEGMENTS``."""
    labels = analysis.zones
    pixels = np.empty((len(SEGMENTS), *labels.shape), np.uint8)
    by_name = dict(zip(SEGMENTS, pixels, strict=True))
    for label, zone in enumerate(ZONES, start=1):
        np.equal(labels, label, out=by_name[zone].view(np.bool_))
    for side in ("right", "left"):
        upper, middle, lower = (by_name[zone] for zone in coding.ZONES if zone.startswith(side))
        np.bitwise_or(np.bitwise_or(upper, middle), lower, out=by_name[f"{side}_lung"])
    # Disease that was not scored is not recorded.
    by_name["disease"][:] = analysis.disease if analysis.score is not None else 0
    return pixels


def _describe_segments(content: ReportContent) -> list[SegmentDescription]:
    algorithms = {
        "lungs": _identify_algorithm(content, "lungs"),
        "disease": _identify_algorithm(content, "disease"),
    }
    return [
        _describe_segment(number, segment, algorithms[segment.found_by])
        for number, segment in enumerate(_SEGMENTS.values(), start=1)
    ]


def _describe_segment(number: int, segment: _Segment, algorithm: AlgorithmIdentificationSequence) -> SegmentDescription:
    description = SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=segment.category,
        segmented_property_type=segment.structure,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        anatomic_regions=[coding.LUNG],
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
    if segment.side is not None:
        # Laterality modifies type and region alike (PS3.3, section C.8.20.2).
        kind, region = description.SegmentedPropertyTypeCodeSequence[0], description.AnatomicRegionSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept.from_code(segment.side)]
        region.AnatomicRegionModifierSequence = [CodedConcept.from_code(segment.side)]
    return description


def _identify_algorithm(content: ReportContent, stage: Stage) -> AlgorithmIdentificationSequence:
    model = content.models.lungs if stage == "lungs" else content.models.disease
    return AlgorithmIdentificationSequence(
        name=f"{PRODUCT} {stage}",
        family=coding.ARTIFICIAL_INTELLIGENCE,
        version=content.models.version,
        source=PRODUCT,
        parameters=weights_parameters(model),
    )


def _name_dimensions(segmentation: Segmentation, uid: str) -> None:
    """Replaces the random UID that highdicom gives the dimensions."""
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for index in segmentation.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid
