"""Writes a report with the radiograph's patient and study; the same report gives the same bytes each time."""

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
    """The file of ``report``, the same bytes for the same input; changes ``report``.

    highdicom fills in the time at which it ran. Those elements are optional and are left out, as the same UID has to
    be the same object; the content's date and time, which are not, are the radiograph's.
    """
    for keyword in _OF_THE_CLOCK:
        if keyword in report:
            delattr(report, keyword)
    for equipment in report.get("ContributingEquipmentSequence", ()):
        # highdicom itself, and when.
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
    # Whoever is told names warns of odd ones in the log, so highdicom is told none.
    for element in subject:
        report[element.tag] = element
    if "SpecificCharacterSet" not in subject and "SpecificCharacterSet" in report:
        del report.SpecificCharacterSet
