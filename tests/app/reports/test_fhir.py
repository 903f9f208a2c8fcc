"""The FHIR Bundle, validated by another library and held against the Structured Report."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import highdicom
import pytest
from fhir.resources import get_fhir_model_class
from fhir.resources.R4B import get_fhir_model_class as get_r4_class
from pydicom.sr.coding import Code

from app.reports.dicom.structured_report import write_report
from app.reports.fhir import Release, write_bundle
from models.analysis import Analysis
from models.anatomy.uncertainty import Spread
from tests.support.reports import MODELS, analysis, bare_source, case_of, full_source, refused

FOUND = {
    "scored": analysis(),
    "with every figure": analysis(
        disease_probability=0.97, spread=Spread(scores=(1, 3), shares=((0.1, 0.4),) * 6, coverage=0.9)
    ),
    "refused": refused("not_frontal", "lungs_not_found"),
    "refused without a known reason": refused(),
}
HEADERS = {
    "full": full_source(),
    "bare": bare_source(),
    "a name alone": bare_source(PatientName="ANONYMOUS"),
    "a number alone": bare_source(PatientID="4711"),
    "Japanese": full_source(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう"
    ),
    "values against the rules": full_source(PatientSex="U", PatientBirthDate="1845-03-27", ContentTime="17:31"),
}


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def bundle_of(found: Analysis | None = None, release: Release = "R4", **source: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(write_bundle(case_of(full_source(**source), found), release))
    return read


@pytest.mark.parametrize("release", ["R4", "R5"])
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", FOUND)
def test_it_is_valid(name: str, header: str, release: Release) -> None:
    data = write_bundle(case_of(HEADERS[header], FOUND[name]), release)
    model = get_r4_class("Bundle") if release == "R4" else get_fhir_model_class("Bundle")
    read = model.model_validate_json(data)
    assert json.loads(read.model_dump_json()) == json.loads(data), "nothing is ignored, nothing is added"
    addresses = {entry["fullUrl"] for entry in json.loads(data)["entry"]}
    assert set(references(json.loads(data))) <= addresses


def references(value: Any) -> Iterator[str]:
    """Every reference within the bundle."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "reference" and isinstance(item, str):
                yield item
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def coded(concept: dict[str, Any]) -> tuple[str, str]:
    (coding,) = concept["coding"]
    return coding["code"], coding["display"]


def of(code: Code) -> tuple[str, str]:
    return code.value, code.meaning


def components(observation: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        coded(item["code"]): item["valueQuantity"]["value"]
        if "valueQuantity" in item
        else coded(item["valueCodeableConcept"])
        for item in observation["component"]
        if "valueRange" not in item
    }


@pytest.mark.parametrize("name", FOUND)
def test_it_says_what_the_structured_report_says(name: str) -> None:
    case = case_of(full_source(), FOUND[name])
    bundle = json.loads(write_bundle(case, "R4"))
    report = highdicom.sr.srread(BytesIO(write_report(case)))
    (whole,) = report.content.get_image_measurement_groups()
    score, *zones = resources(bundle, "Observation")
    said = components(score)
    for measurement in whole.get_measurements():
        value = score["valueQuantity"]["value"] if measurement.name == CODE_OF_SCORE else said[of(measurement.name)]
        assert value == measurement.value
    for evaluation in whole.get_qualitative_evaluations():
        assert of(evaluation.value) in [coded(item["valueCodeableConcept"]) for item in concepts(score)]
    groups = report.content.get_planar_roi_measurement_groups()
    assert len(zones) == len(groups)
    for zone, group in zip(zones, groups, strict=True):
        (share,) = group.get_measurements()
        assert (coded(zone["code"]), zone["valueQuantity"]["value"]) == (of(share.name), share.value)
        (site,) = group.finding_sites
        assert coded(zone["bodySite"]) == of(site.value)
        assert ("272741003", "Laterality") in components(zone)
        assert components(zone)["272741003", "Laterality"] == of(site.laterality)
        (affected,) = group.get_qualitative_evaluations()
        assert components(zone)[of(affected.name)] == of(affected.value)


def concepts(observation: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in observation["component"] if "valueCodeableConcept" in item]


CODE_OF_SCORE = Code("severity_score", "99CXR", "Lung severity score, affected zones of six")


def test_without_a_score_none_is_invented() -> None:
    bundle = bundle_of(refused("not_frontal"))
    (score,) = resources(bundle, "Observation")
    assert "valueQuantity" not in score
    assert score["dataAbsentReason"]["text"] == "Not frontal"
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["conclusion"].startswith("No score is given. Not frontal.")


def test_the_range_and_the_intervals_where_they_are_known() -> None:
    score, zone, *_ = resources(bundle_of(FOUND["with every figure"]), "Observation")
    (found,) = (item["valueRange"] for item in score["component"] if "valueRange" in item)
    assert (found["low"]["value"], found["high"]["value"]) == (1, 3)
    (interval,) = (item["valueRange"] for item in zone["component"] if "valueRange" in item)
    assert (interval["low"]["value"], interval["high"]["value"]) == (10, 40)


def test_the_study_the_moment_and_the_device() -> None:
    bundle = bundle_of()
    (report,) = resources(bundle, "DiagnosticReport")
    (study,) = report["imagingStudy"]
    assert study["identifier"]["value"] == f"urn:oid:{full_source().StudyInstanceUID}"
    assert report["effectiveDateTime"] == "1895-11-08T17:31:12+01:00"
    assert report["status"] == "preliminary"
    (device,) = resources(bundle, "Device")
    versions = {version["type"]["text"]: version["value"] for version in device["version"]}
    assert versions["lungs sha256"] == MODELS.lungs.sha256
    assert versions["disease sha256"] == MODELS.disease.sha256
    assert "study" in resources(bundle_of(release="R5"), "DiagnosticReport")[0]
    # No time without its zone.
    (report,) = resources(bundle_of(TimezoneOffsetFromUTC=None), "DiagnosticReport")
    assert report["effectiveDateTime"] == "1895-11-08"


def test_the_patient_is_the_headers() -> None:
    (patient,) = resources(bundle_of(), "Patient")
    assert patient == {
        "resourceType": "Patient",
        "identifier": [{"value": "WCR-1895", "assigner": {"display": "WUE"}}],
        "name": [{"family": "Roentgen", "given": ["Wilhelm", "Conrad"], "suffix": ["Prof."]}],
        "birthDate": "1845-03-27",
        "gender": "male",
    }
    nobody = json.loads(write_bundle(case_of(bare_source()), "R4"))
    assert resources(nobody, "Patient") == []
    assert "subject" not in resources(nobody, "DiagnosticReport")[0]


def test_the_same_bytes_each_time() -> None:
    assert write_bundle(case_of(full_source()), "R4") == write_bundle(case_of(full_source()), "R4")
