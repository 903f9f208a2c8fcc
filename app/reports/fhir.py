"""A finding as a FHIR Bundle, R4 or R5: the values and codes of the Structured Report, as other systems read them.

After HL7's guide for DICOM SR to FHIR: https://hl7.org/fhir/uv/dicom-sr.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any, Final, Literal, TypeAlias

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

from app.reports.answers import Finding
from app.reports.dicom import coding, content_of
from app.reports.dicom.content import ReportContent
from app.reports.dicom.header import UNKNOWN_DATE, UNKNOWN_TIME, ReportHeader
from app.reports.dicom.identity import PRODUCT, weights_parameters
from app.reports.words import narrate, readable, refusals
from models.analysis import Analysis, Polarity
from models.anatomy.severity import ZONES

Release: TypeAlias = Literal["R4", "R5"]
Resource: TypeAlias = dict[str, Any]

FHIR: Final = "application/fhir+json"
_SYSTEMS: Final[Mapping[str, str]] = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    # A name-based UUID of "99CXR" in the namespace of URLs, as an OID.
    coding.SCHEME: "urn:oid:2.25.64497934740036222832219010267668707196",
}
_UIDS: Final = "urn:dicom:uid"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_SECTION: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
_LATERALITY: Final = Code("272741003", "SCT", "Laterality")
_SCORE_RANGE: Final = Code("score_range", coding.SCHEME, "Range of the score")
_SHARE_INTERVAL: Final = Code("share_interval", coding.SCHEME, "Interval of the share")
_GENDERS: Final = {"M": "male", "F": "female", "O": "other"}
_ZONE: Final = re.compile(r"[+-]\d{4}")
# Nobody has signed it.
_STATUS: Final = "preliminary"


def fhir_json(finding: Finding, polarity: Polarity, release: Release = "R4") -> bytes:
    """A finding as a bundle."""
    with finding.clock.measure("render"):
        return write_bundle(content_of(finding, polarity), release)


def write_bundle(content: ReportContent, release: Release) -> bytes:
    """The bundle as JSON: the report, an observation for the score and for each zone, the device, and the patient.

    It holds what the radiograph's header has of the patient, and nothing else. The same input gives the same bytes.
    """
    observations = {"score": _score(content), **_zones(content)}
    resources = {
        "report": _report(content, release, list(observations)),
        **observations,
        "device": _device(content, release),
        "patient": _patient(content.header.subject),
    }
    entries = [
        {"fullUrl": _url(content, name), "resource": resource} for name, resource in resources.items() if resource
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _report(content: ReportContent, release: Release, observations: Sequence[str]) -> Resource:
    study = "imagingStudy" if release == "R4" else "study"
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": _UIDS, "value": f"urn:oid:{_uid(content, 'report')}"}],
        "status": _STATUS,
        "category": [{"coding": [{"system": _SECTION, "code": "RAD", "display": "Radiology"}]}],
        "code": _concept(codes.DCM.ImagingMeasurementReport),
        **_context(content),
        "result": [{"reference": _url(content, name)} for name in observations],
        study: [_study(content.header)],
        "conclusion": "\n".join(narrate(content.analysis)),
    }


def _score(content: ReportContent) -> Resource:
    """Of the whole radiograph."""
    analysis = content.analysis
    value: Resource = (
        {
            "dataAbsentReason": {
                "coding": [{"system": _ABSENT, "code": "not-performed", "display": "Not Performed"}],
                "text": ", ".join(map(readable, refusals(analysis))) or "No score is given",
            }
        }
        if analysis.score is None
        else {"valueQuantity": _quantity(analysis.score, codes.UCUM.NoUnits)}
    )
    return {
        **_observation(content, coding.SCORE),
        **value,
        "bodySite": _concept(coding.LUNG),
        "component": list(_score_components(analysis)),
    }


def _score_components(analysis: Analysis) -> Iterator[Resource]:
    yield _coded(coding.SCORABLE, coding.NO if analysis.score is None else coding.YES)
    for flag in analysis.flags:
        name = coding.REFUSAL if flag in refusals(analysis) else coding.DOUBT
        yield _coded(name, Code(flag, coding.SCHEME, readable(flag)))
    if analysis.score is None:
        return
    shares = {
        coding.THRESHOLD: analysis.threshold,
        coding.MARGIN: analysis.margin,
        coding.DISEASED_SHARE: analysis.diseased_share,
        coding.DISEASE_PROBABILITY: analysis.disease_probability,
    }
    yield from (_measured(name, share) for name, share in shares.items() if share is not None)
    if analysis.score_range is not None:
        low, high = (_quantity(end, codes.UCUM.NoUnits) for end in analysis.score_range)
        yield {"code": _concept(_SCORE_RANGE), "valueRange": {"low": low, "high": high}}


def _zones(content: ReportContent) -> dict[str, Resource]:
    """One for each zone whose lung was found, upper first; none without a score."""
    analysis = content.analysis
    if analysis.score is None:
        return {}
    return {
        zone: _zone(content, zone, analysis.by_zone[zone]) for zone in coding.ZONES if not isnan(analysis.by_zone[zone])
    }


def _zone(content: ReportContent, zone: str, share: float) -> Resource:
    structure, side = coding.ZONES[zone]
    analysis = content.analysis
    components = [
        _coded(_LATERALITY, side),
        _coded(coding.AFFECTED, coding.YES if analysis.affects(share) else coding.NO),
    ]
    if analysis.spread is not None:
        low, high = (_percentage(end) for end in analysis.spread.shares[ZONES.index(zone)])
        components.append({"code": _concept(_SHARE_INTERVAL), "valueRange": {"low": low, "high": high}})
    return {
        **_observation(content, coding.ZONE_SHARE),
        "valueQuantity": _percentage(share),
        "bodySite": {**_concept(structure), "text": readable(f"{zone}_zone")},
        "component": components,
    }


def _observation(content: ReportContent, name: Code) -> Resource:
    return {
        "resourceType": "Observation",
        "status": _STATUS,
        "code": _concept(name),
        **_context(content),
        "device": {"reference": _url(content, "device")},
        "derivedFrom": [_study(content.header)],
    }


def _device(content: ReportContent, release: Release) -> Resource:
    """The service, with all that its figures depend on."""
    identity, models = content.identity, content.models
    name = (
        {"deviceName": [{"name": PRODUCT, "type": "model-name"}]}
        if release == "R4"
        else {"name": [{"value": PRODUCT, "type": "registered-name"}]}
    )
    weights = [
        {"type": {"text": f"{stage} {key}"}, "value": value}
        for stage, model in (("lungs", models.lungs), ("disease", models.disease))
        for key, value in weights_parameters(model).items()
    ]
    return {
        "resourceType": "Device",
        "identifier": [{"system": _UIDS, "value": f"urn:oid:{identity.device_uid}"}],
        "manufacturer": PRODUCT,
        "serialNumber": identity.serial_number,
        **name,
        "version": [{"type": {"text": "service"}, "value": models.version}, *weights],
    }


def _patient(subject: Dataset) -> Resource | None:
    """What the header has of the patient; None where it has neither number nor name."""
    number, name = str(subject.PatientID or ""), subject.PatientName
    found: Resource = {"resourceType": "Patient"}
    if number:
        issuer = str(subject.get("IssuerOfPatientID", "") or "")
        found["identifier"] = [{"value": number, **({"assigner": {"display": issuer}} if issuer else {})}]
    if name:
        found["name"] = [_name(PersonName(name))]
    if len(found) == 1:
        return None
    if born := _day(str(subject.PatientBirthDate or "")):
        found["birthDate"] = born
    if subject.PatientSex in _GENDERS:
        found["gender"] = _GENDERS[subject.PatientSex]
    return found


def _name(name: PersonName) -> Resource:
    """The alphabetic group's parts; the whole where it has none of them."""
    parts: Resource = {
        "family": name.family_name,
        "given": [part for part in (name.given_name, name.middle_name) if part],
        "prefix": [name.name_prefix] if name.name_prefix else [],
        "suffix": [name.name_suffix] if name.name_suffix else [],
    }
    found = {key: value for key, value in parts.items() if value}
    return found or {"text": str(name)}


def _context(content: ReportContent) -> Resource:
    """Of whom, and when the radiograph was taken, where the header says so."""
    found: Resource = {}
    if _patient(content.header.subject):
        found["subject"] = {"reference": _url(content, "patient")}
    if moment := _moment(content.header):
        found["effectiveDateTime"] = moment
    return found


def _moment(header: ReportHeader) -> str | None:
    """The image's date, with its time where that and its zone are known: FHIR has no time without a zone."""
    if header.date == UNKNOWN_DATE:
        return None
    day, zone = _day(header.date), str(header.subject.get("TimezoneOffsetFromUTC", ""))
    if header.time == UNKNOWN_TIME or len(header.time) < len("HHMM") or not _ZONE.fullmatch(zone):
        return day
    hours, minutes, seconds = header.time[:2], header.time[2:4], header.time[4:6] or "00"
    return f"{day}T{hours}:{minutes}:{seconds}{zone[:3]}:{zone[3:]}"


def _day(text: str) -> str | None:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == len("YYYYMMDD") else None


def _study(header: ReportHeader) -> Resource:
    uid = header.image.StudyInstanceUID
    return {"type": "ImagingStudy", "identifier": {"system": _UIDS, "value": f"urn:oid:{uid}"}}


def _uid(content: ReportContent, name: str) -> str:
    return content.identity.uid("fhir", name, content.analysis.threshold)


def _url(content: ReportContent, name: str) -> str:
    return f"urn:oid:{_uid(content, name)}"


def _concept(code: Code) -> Resource:
    return {"coding": [{"system": _SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}]}


def _coded(name: Code, value: Code) -> Resource:
    return {"code": _concept(name), "valueCodeableConcept": _concept(value)}


def _measured(name: Code, share: float) -> Resource:
    return {"code": _concept(name), "valueQuantity": _percentage(share)}


def _percentage(share: float) -> Resource:
    return _quantity(round(100 * share, 2), codes.UCUM.Percent)


def _quantity(value: float, unit: Code) -> Resource:
    return {"value": value, "unit": unit.meaning, "system": _SYSTEMS["UCUM"], "code": unit.value}
