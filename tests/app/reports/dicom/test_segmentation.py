"""DICOM Segmentation, read back."""

from collections.abc import Callable
from io import BytesIO

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from app.reports.dicom.segmentation import SEGMENTS, segment_number, write_segmentation
from models.anatomy.severity import ZONES
from tests.support.reports import (
    HEIGHT,
    MODELS,
    SOURCES,
    WIDTH,
    analysis,
    bare_source,
    case_of,
    full_source,
    refused,
)


@pytest.fixture(scope="module")
def read() -> highdicom.seg.Segmentation:
    return highdicom.seg.segread(BytesIO(write_segmentation(case_of(full_source()))))


def mask(segmentation: highdicom.seg.Segmentation, segment: str) -> np.ndarray:
    (pixels,) = segmentation.get_pixels_by_source_instance(
        [full_source().SOPInstanceUID], segment_numbers=[segment_number(segment)]
    )
    return pixels[..., 0].astype(bool)


@pytest.mark.parametrize("zone", ZONES)
def test_zones_by_the_patients_side(read: highdicom.seg.Segmentation, zone: str) -> None:
    expected = analysis().zones == ZONES.index(zone) + 1
    assert expected.any()
    assert (mask(read, zone) == expected).all()


def test_lungs_by_the_patients_side(read: highdicom.seg.Segmentation) -> None:
    right, left = mask(read, "right_lung"), mask(read, "left_lung")
    assert (right | left == analysis().lungs).all()
    # The patient's right lung is on the picture's left.
    assert np.nonzero(right)[1].max() < WIDTH / 2 < np.nonzero(left)[1].min()
    assert (mask(read, "disease") == analysis().disease).all()


def test_frames_have_the_numbers_of_their_segments(read: highdicom.seg.Segmentation) -> None:
    assert read.NumberOfFrames == len(SEGMENTS) == 9
    for number, frame in enumerate(read.PerFrameFunctionalGroupsSequence, start=1):
        assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number


def test_what_the_segments_are(read: highdicom.seg.Segmentation) -> None:
    described = {segment: read.get_segment_description(segment_number(segment)) for segment in SEGMENTS}
    assert [description.segment_label for description in described.values()] == [
        "Right lung", "Left lung", "Opacity",
        "Right upper zone", "Right middle zone", "Right lower zone",
        "Left upper zone", "Left middle zone", "Left lower zone",
    ]  # fmt: skip
    assert described["left_lung"].segmented_property_type == codes.SCT.Lung
    assert described["disease"].segmented_property_type == codes.DCM.Opacity
    assert described["disease"].segmented_property_category == codes.SCT.MorphologicallyAbnormalStructure
    assert described["right_middle"].segmented_property_type == codes.SCT.MiddleZoneOfLung
    for segment, description in described.items():
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        sides = [item.CodeMeaning.lower() for item in kind.get("SegmentedPropertyTypeModifierCodeSequence", [])]
        assert sides == [side for side in ("right", "left") if segment.startswith(side)]


def test_which_networks_found_them(read: highdicom.seg.Segmentation) -> None:
    for segment, digest in (("left_upper", "1" * 64), ("disease", "2" * 64)):
        description = read.get_segment_description(segment_number(segment))
        assert description.algorithm_type.value == "AUTOMATIC"
        assert f"sha256={digest}" in description.algorithm_identification[0].AlgorithmParameters
        assert description.algorithm_identification.version == MODELS.version


def test_refers_to_its_source(read: highdicom.seg.Segmentation) -> None:
    source = full_source()
    assert read.SOPClassUID == SegmentationStorage
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (read.Rows, read.Columns) == (HEIGHT, WIDTH)
    assert read.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert read.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert read.ContentDescription == "Research use only. Not a medical device."


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("header", [bare_source, full_source])
def test_no_geometry_is_invented(source: str, header: Callable[..., Dataset]) -> None:
    written = dcmread(BytesIO(write_segmentation(case_of(header(source)))))
    (shared,) = written.SharedFunctionalGroupsSequence
    assert not {"PixelMeasuresSequence", "PlaneOrientationSequence"} & set(shared.dir())
    assert "PlanePositionSequence" not in written.PerFrameFunctionalGroupsSequence[0]
    assert "FrameOfReferenceUID" not in written
    kinds = {element.value for element in written.iterall() if element.keyword == "ReferencedSOPClassUID"}
    assert kinds == {SOURCES[source]}
    assert list(written.PatientOrientation or []) == list(header(source).get("PatientOrientation", []))


def test_disease_that_makes_no_score_is_not_for_the_record() -> None:
    unscored = analysis(score=None, margin=None, flags=("not_chest",))
    written = highdicom.seg.segread(BytesIO(write_segmentation(case_of(full_source(), unscored))))
    by_name = dict(zip(SEGMENTS, written.pixel_array, strict=True))
    assert not by_name["disease"].any()
    assert by_name["right_lung"].any()


def test_nothing_found_is_nine_empty_segments() -> None:
    written = highdicom.seg.segread(BytesIO(write_segmentation(case_of(full_source(), refused("lungs_not_found")))))
    assert written.NumberOfFrames == 9
    assert not written.pixel_array.any()
