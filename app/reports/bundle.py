"""Several results of one analysis as one body: ``multipart/related`` (RFC 2387) or a ZIP."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Final, Literal, NamedTuple, TypeAlias

from app.reports.answers import Finding, score_json
from app.reports.dicom import DICOM, capture_dicom, presentation_dicom, report_dicom, segmentation_dicom
from app.reports.fhir import FHIR, fhir_json
from models.analysis import Polarity

ResultName: TypeAlias = Literal["seg", "sr", "sc", "pr", "fhir", "json"]
JSON: Final = "application/json"
_MAKERS: Final[Mapping[ResultName, Callable[[Finding, Polarity], bytes]]] = {
    "seg": segmentation_dicom,
    "sr": report_dicom,
    "sc": capture_dicom,
    "pr": presentation_dicom,
    "fhir": fhir_json,
    "json": lambda finding, _: score_json(finding),
}
_MEDIA_TYPES: Final[Mapping[ResultName, str]] = {"json": JSON, "fhir": FHIR}
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold. With the current time, the same results would give different bytes."""


class _Part(NamedTuple):
    file: str
    media_type: str
    content: bytes


def multipart(finding: Finding, polarity: Polarity, include: Sequence[ResultName], boundary: str) -> bytes:
    """The results as parts of a ``multipart/related`` body, in the order of ``include``."""
    pieces = []
    for part in _parts(finding, polarity, include):
        head = (
            f"--{boundary}\r\nContent-Type: {part.media_type}\r\nContent-Length: {len(part.content)}\r\n"
            f'Content-Disposition: attachment; filename="{part.file}"\r\n\r\n'
        )
        pieces += [head.encode(), part.content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def zipped(finding: Finding, polarity: Polarity, include: Sequence[ResultName]) -> bytes:
    """The results as the files of a ZIP, in the order of ``include``."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part in _parts(finding, polarity, include):
            entry = zipfile.ZipInfo(part.file, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, part.content)
    return file.getvalue()


def media_type_of(name: ResultName) -> str:
    """The media type of one result."""
    return _MEDIA_TYPES.get(name, DICOM)


def _parts(finding: Finding, polarity: Polarity, include: Sequence[ResultName]) -> list[_Part]:
    endings = {JSON: "json", FHIR: "json", DICOM: "dcm"}
    return [
        _Part(f"{name}.{endings[media_type]}", media_type, _MAKERS[name](finding, polarity))
        for name, media_type in ((name, media_type_of(name)) for name in include)
    ]
