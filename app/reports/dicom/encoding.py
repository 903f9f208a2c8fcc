"""Writes a report with the radiograph's patient and study. The same report always gives the same bytes."""

from copy import deepcopy
from io import BytesIO
from typing import Final

from highdicom.base import SOPClass
from pydicom import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import SecondaryCaptureImageStorage

from app.reports.dicom.header import ReportHeader

_OF_THE_CLOCK: Final = (
    "InstanceCreationDate",
    "InstanceCreationTime",
    "DateOfSecondaryCapture",
    "TimeOfSecondaryCapture",
)


def encode(report: SOPClass, header: ReportHeader) -> bytes:
    """Encodes ``report`` as a DICOM file, with the same bytes for the same input; changes ``report``.

    highdicom fills in the current time, but one UID must always be the same object. So the optional times are removed,
    and the required content date and time are the radiograph's.
    """
    for keyword in _OF_THE_CLOCK:
        if keyword in report:
            delattr(report, keyword)
    for equipment in report.get("ContributingEquipmentSequence", ()):
        # highdicom adds itself, with the current time.
        del equipment.ContributionDateTime
    for keyword, value in (
        ("ContentDate", header.date),
        ("ContentTime", header.time),
        ("PresentationCreationDate", header.date),
        ("PresentationCreationTime", header.time),
    ):
        if keyword in report:
            setattr(report, keyword, value)
    _put_in_study(report, header.subject)
    buffer = BytesIO()
    dcmwrite(buffer, report, enforce_file_format=True)
    return buffer.getvalue()


def single_frame(image: Dataset) -> Dataset:
    """``image`` as one of a class without frames: highdicom reads functional groups of any other, which it lacks."""
    single = deepcopy(image)
    single.SOPClassUID = SecondaryCaptureImageStorage
    return single


def refer_to_class(report: Dataset, kind: str) -> None:
    """Undoes ``single_frame`` wherever ``report`` refers to the image: it is of the class ``kind``."""
    for element in report.iterall():
        if element.keyword == "ReferencedSOPClassUID":
            element.value = kind


def _put_in_study(report: Dataset, subject: Dataset) -> None:
    # highdicom warns of odd names in the log, so the patient is added only after it has run.
    for element in subject:
        report[element.tag] = element
    if "SpecificCharacterSet" not in subject and "SpecificCharacterSet" in report:
        del report.SpecificCharacterSet
