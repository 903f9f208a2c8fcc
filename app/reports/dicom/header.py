"""Reads what reports take over from a radiograph's header: patient, study, image and time. Nothing is invented."""

import re
from dataclasses import dataclass
from datetime import date
from math import inf
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.charset import default_encoding
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.valuerep import validate_value

from app.errors import UnsupportedDicom
from app.intake.dicom.damage import DAMAGE

_REQUIRED: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_MAX_UID: Final = 64

_TYPE_2: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Patient and General Study modules: required, but may be empty (DICOM PS3.3, sections C.7.1.1 and C.7.2.1)."""

_TYPE_3: Final = (
    # Patient (C.7.1.1)
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID", "PatientBirthTime",
    "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup", "PatientComments", "QualityControlSubject",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription",
    "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "StrainDescription",
    # General Study (C.7.2.1)
    "IssuerOfAccessionNumberSequence", "StudyDescription", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy",
    "ConsultingPhysicianName", "ProcedureCodeSequence", "ReferencedStudySequence", "RequestingService",
    # Patient Study (C.7.2.2)
    "PatientAge", "PatientSize", "PatientWeight", "PatientSexNeutered", "AdmissionID", "ReasonForVisit",
    "AdmittingDiagnosesDescription", "Allergies", "MedicalAlerts", "PregnancyStatus", "SmokingStatus",
    "LastMenstrualDate", "Occupation", "AdditionalPatientHistory", "SpecialNeeds", "PatientState", "ServiceEpisodeID",
    # Clinical Trial Subject and Study (C.7.1.3, C.7.2.3)
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
    # SOP Common (C.12.1): the dates' time zone
    "TimezoneOffsetFromUTC",
)  # fmt: skip
_TRIAL_TYPE_2: Final = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")

_KEPT_AS_IT_IS: Final = ("StudyInstanceUID", "PatientName", "PatientID", "AccessionNumber", "StudyID")
"""An archive identifies patient and study by these: changed characters would make another patient."""
_MAX_BYTES: Final = 0xFFFF
"""What most value representations can hold (DICOM PS3.5, section 7.1.2)."""

_CODE_STRING: Final = re.compile(r"[A-Z0-9 _]{1,16}")
_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
_MOMENTS: Final = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)
UNKNOWN_DATE: Final = "19000101"
UNKNOWN_TIME: Final = "000000"


@dataclass(frozen=True, slots=True, eq=False)
class ReportHeader:
    """What reports take over from a radiograph.

    Attributes:
        image: identifiers, matrix, and spacing in the detector's plane where known. It does not name the patient, so
            that libraries which get it cannot put a name into a warning.
        subject: the patient and study modules, with their character set; every element can be written.
        date: DA of the image, used as the reports' content date. The date of the analysis would make a different
            object with the same UID each time.
        time: TM, likewise.
        orientation: of the image's rows and columns; empty where not known.
    """

    image: Dataset
    subject: Dataset
    date: str
    time: str
    orientation: tuple[str, ...]


def read_header(source: Dataset, height: int, width: int) -> ReportHeader:
    """Reads what reports need from ``source``, the header of a radiograph with ``height`` x ``width`` pixels.

    Raises:
        UnsupportedDicom: an identifier is missing or not valid, so no report could refer to it.
    """
    missing = [keyword for keyword in _REQUIRED if not _is_uid(_text(source, keyword))]
    if missing:
        raise UnsupportedDicom(f"A report cannot refer to this object: no valid {', '.join(missing)}")
    moment = _moment(source)
    return ReportHeader(_image(source, height, width), _subject(source), *moment, _orientation(source))


def _is_uid(text: str) -> bool:
    # PS3.5, section 9.1, forbids components that begin with 0, but some files have them, and archives keep them.
    return len(text) <= _MAX_UID and _UID.fullmatch(text) is not None


def _image(source: Dataset, height: int, width: int) -> Dataset:
    image = Dataset()
    for keyword in _REQUIRED:
        setattr(image, keyword, _text(source, keyword))
    for keyword in _TYPE_2:
        setattr(image, keyword, None)
    modality = _text(source, "Modality")
    image.Modality = modality if _CODE_STRING.fullmatch(modality) else "OT"
    image.Rows, image.Columns = height, width
    spacing = _element(source, "ImagerPixelSpacing")
    if spacing is not None and _is_spacing(spacing):
        image.add(spacing)
    if _text(source, "LossyImageCompression") == "01":
        image.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            element = _element(source, keyword)
            if element is not None and _is_valid(element):
                image.add(element)
    return image


def _subject(source: Dataset) -> Dataset:
    subject = Dataset()
    for keyword in _TYPE_2:
        setattr(subject, keyword, None)
    charset = _element(source, "SpecificCharacterSet")
    if charset is not None:
        subject.add(charset)
    for keyword in ("StudyInstanceUID", *_TYPE_2, *_TYPE_3):
        element = _element(source, keyword)
        if element is not None and (keyword in _KEPT_AS_IT_IS or _is_valid(element)):
            subject.add(element)
    if "ClinicalTrialSponsorName" in subject:
        for keyword in _TRIAL_TYPE_2:
            if keyword not in subject:
                setattr(subject, keyword, None)
    if charset is None and not all(_is_ascii(element) for element in subject):
        # pydicom read the undeclared bytes as Latin-1; with that declared, the same bytes are written.
        subject.SpecificCharacterSet = "ISO_IR 100"
    return subject


def _is_ascii(element: DataElement) -> bool:
    return element.VR == "SQ" or str(element.value).isascii()


def _is_valid(element: DataElement) -> bool:
    """Whether the values are valid for the element's VR; sequences are not checked."""
    if element.keyword == "PatientSex":
        return element.value in ("M", "F", "O")
    if element.VR == "DA":
        return _is_day(str(element.value))
    if element.VR == "SQ":
        return True
    values = element.value if element.VM > 1 else [element.value]
    try:
        for value in values:
            # pydicom takes text for all representations but the binary ones.
            validate_value(element.VR, value if element.VR == "US" else str(value), RAISE)
    except DAMAGE:
        return False
    return True


def _element(source: Dataset, keyword: str) -> DataElement | None:
    """The element, if its value can be read and written again; None otherwise."""
    try:
        element = source[keyword]
        if element.is_empty or dictionary_VR(element.tag) != element.VR or _written_bytes(element, source) > _MAX_BYTES:
            return None
    except DAMAGE:
        return None
    return element


def _written_bytes(element: DataElement, source: Dataset) -> int:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element, source.get("SpecificCharacterSet", default_encoding))
    return buffer.tell()


def _text(source: Dataset, keyword: str) -> str:
    element = _element(source, keyword)
    return "" if element is None else str(element.value).strip()


def _is_spacing(element: DataElement) -> bool:
    """Whether the element holds two positive distances, between rows and between columns."""
    return element.VM == 2 and _is_valid(element) and all(0 < step < inf for step in map(float, element.value))


def _orientation(source: Dataset) -> tuple[str, ...]:
    """Patient Orientation (DICOM PS3.3, section C.7.6.1.1.1)."""
    element = _element(source, "PatientOrientation")
    values = () if element is None or element.VM != 2 else tuple(str(value) for value in element.value)
    return values if all(_CODE_STRING.fullmatch(value) for value in values) else ()


def _moment(source: Dataset) -> tuple[str, str]:
    """The image's date and time, the closest to its making that the header has; a fixed one where it has none."""
    for day, hour in _MOMENTS:
        if _is_day(found := _text(source, day)):
            time = _text(source, hour)
            return found, time if _TIME.fullmatch(time) else UNKNOWN_TIME
    return UNKNOWN_DATE, UNKNOWN_TIME


def _is_day(text: str) -> bool:
    parts = _DATE.fullmatch(text)
    if parts is None:
        return False
    try:
        date(*map(int, parts.groups()))
    except ValueError:
        return False
    return True
