"""DICOM Structured Report, read back."""

from io import BytesIO

import highdicom
import pytest
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from app.reports.dicom import coding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.segmentation import segment_number, write_segmentation
from app.reports.dicom.structured_report import write_report
from tests.support.reports import SHARES, analysis, bare_source, case_of, full_source, refused

NOTICE = "Research use only. Not a medical device."
ZONES_TEXT = "Affected zones (over 31 %): right lower 50 %, left middle 90 %"


def read(case: ReportContent) -> highdicom.sr.Comprehensive3DSR:
    return highdicom.sr.srread(BytesIO(write_report(case)))


@pytest.fixture(scope="module")
def report() -> highdicom.sr.Comprehensive3DSR:
    return read(case_of(full_source()))


def whole(report: highdicom.sr.Comprehensive3DSR) -> highdicom.sr.MeasurementsAndQualitativeEvaluations:
    (group,) = report.content.get_image_measurement_groups()
    return group


def figures(group: object) -> dict[str, float]:
    return {measurement.name.value: measurement.value for measurement in group.get_measurements()}


def evaluations(group: object) -> list[tuple[str, str]]:
    return [(item.name.value, item.value.value) for item in group.get_qualitative_evaluations()]


def comments(report: Dataset) -> list[str]:
    (group,) = [item for item in imaging_measurements(report) if "121106" in names(item.ContentSequence)]
    return [item.TextValue for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121106"]


def imaging_measurements(report: Dataset) -> list[Dataset]:
    (container,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"]
    return list(container.ContentSequence)


def names(items: object) -> list[str]:
    return [CodedConcept.from_dataset(item.ConceptNameCodeSequence[0]).value for item in items]


def test_the_score(report: highdicom.sr.Comprehensive3DSR) -> None:
    assert report.SOPClassUID == Comprehensive3DSRStorage
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert figures(whole(report)) == {
        "severity_score": 2,
        "122411": 31.0,
        "margin": 0.0,
        "diseased_share": 25.0,
    }
    assert evaluations(whole(report)) == [("scorable", codes.SCT.Yes.value), ("quality_flag", "borderline")]
    assert comments(report) == ["Lung severity score 2 of 6", ZONES_TEXT, NOTICE]


def test_the_zones(report: highdicom.sr.Comprehensive3DSR) -> None:
    groups = report.content.get_planar_roi_measurement_groups()
    found = {}
    for group in groups:
        (site,) = group.finding_sites
        found[site.laterality.meaning.lower(), site.value.meaning.split()[0].lower()] = group
    by_zone = {tuple(zone.split("_")): share for zone, share in analysis().by_zone.items()}
    assert by_zone["right", "lower"] == SHARES[0]
    assert found.keys() == by_zone.keys()
    for zone, group in found.items():
        (measured,) = group.get_measurements()
        assert measured.name == coding.ZONE_SHARE
        assert measured.unit == codes.UCUM.Percent
        assert measured.value == pytest.approx(100 * by_zone[zone])
        affected = by_zone[zone] > 0.31
        assert evaluations(group) == [("zone_affected", (coding.YES if affected else coding.NO).value)]


def test_refers_to_the_segmentation(report: highdicom.sr.Comprehensive3DSR) -> None:
    segmentation = highdicom.seg.segread(BytesIO(write_segmentation(case_of(full_source()))))
    for group in report.content.get_planar_roi_measurement_groups():
        reference = group.referenced_segmentation_frame
        assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        (frame,) = reference.referenced_frame_numbers
        description = segmentation.get_segment_description(frame)
        (site,) = group.finding_sites
        assert description.segmented_property_type == site.value
        side = description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        assert side.CodeValue == site.laterality.value
    evidence = report.get_evidence()
    source = full_source()
    assert {(series, instance) for _, series, instance, _ in evidence} == {
        (source.SeriesInstanceUID, source.SOPInstanceUID),
        (segmentation.SeriesInstanceUID, segmentation.SOPInstanceUID),
    }
    assert {kind for *_, kind in evidence} == {source.SOPClassUID, SegmentationStorage}
    assert segment_number("right_lung") == 1


@pytest.mark.parametrize("threshold", [0.2, 0.6])
def test_reports_by_any_threshold_refer_to_one_segmentation(threshold: float) -> None:
    def segmentations(value: float) -> set[str]:
        evidence = read(case_of(full_source(), analysis(threshold=value))).get_evidence()
        return {instance for *_, instance, kind in evidence if kind == SegmentationStorage}

    assert segmentations(threshold) == segmentations(0.31)


def test_a_radiograph_that_cannot_be_scored_has_no_figure() -> None:
    report = read(case_of(full_source(), refused("view_unknown", "lungs_not_found")))
    assert figures(whole(report)) == {}
    assert evaluations(whole(report)) == [
        ("scorable", codes.SCT.No.value),
        ("quality_flag", "view_unknown"),
        ("refusal", "lungs_not_found"),
    ]
    assert comments(report) == ["No score is given. Lungs not found", "The zones were not assessed", NOTICE]
    assert report.content.get_planar_roi_measurement_groups() == []
    assert [kind for *_, kind in report.get_evidence()] == [full_source().SOPClassUID]


def test_refused_for_the_picture_though_shares_are_known() -> None:
    report = read(case_of(full_source(), analysis(score=None, margin=None, flags=("not_chest",))))
    assert figures(whole(report)) == {}
    assert report.content.get_planar_roi_measurement_groups() == []


def test_exchanged_polarity_is_the_reason_only_where_there_is_no_score() -> None:
    unscored = read(case_of(full_source(), analysis(score=None, margin=None, flags=("inverted_polarity",))))
    assert ("refusal", "inverted_polarity") in evaluations(whole(unscored))
    set_right = read(case_of(full_source(), analysis(flags=("inverted_polarity",))))
    assert ("quality_flag", "inverted_polarity") in evaluations(whole(set_right))


def test_long_flags_are_whole() -> None:
    report = read(case_of(full_source(), refused("burned_in_annotation")))
    assert ("quality_flag", "burned_in_annotation") in evaluations(whole(report))


def test_who_says_so(report: highdicom.sr.Comprehensive3DSR) -> None:
    (observer,) = report.content.get_observer_contexts()
    assert observer.observer_type == codes.DCM.Device
    assert observer.observer_identifying_attributes.name == "cxr-severity 0.0.1+g0123456789ab"
    texts = [item.TextValue for item in imaging_measurements(report)[0].ContentSequence if item.ValueType == "TEXT"]
    assert f"lungs sha256={'1' * 64}" in texts
    assert f"disease sha256={'2' * 64}" in texts
    assert "threshold=0.31" in texts
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99CXR"


@pytest.mark.parametrize(
    ("source", "described"), [(full_source("DX"), True), (bare_source("DX"), False)], ids=["full", "bare"]
)
def test_the_image_library_invents_nothing(source: Dataset, described: bool) -> None:
    report = read(case_of(source))
    (library,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"]
    (image,) = library.ContentSequence[0].ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert (codes.DCM.HorizontalPixelSpacing.value in names(image.ContentSequence)) is described
