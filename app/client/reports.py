"""``--reports``: DICOM objects and FHIR of a radiograph, from the call that also gives its row."""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any, Final

import httpx

from app.client.answers import NotTheService

PATH: Final = "reports"
ZIP: Final = "application/zip"
KEPT: Final = {"seg": "seg.dcm", "sr": "sr.dcm", "sc": "sc.dcm", "pr": "pr.dcm", "fhir": "fhir.json"}
"""File by result; these need a DICOM upload."""
_ROW: Final = {"json": "json.json"}
# Many DICOM files have a UID for a name and no suffix: what follows its last dot tells them apart.
_SUFFIX: Final = re.compile(r"(?<=[^./])\.(?:dcm|dicom)\Z", re.IGNORECASE)
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ValueError)
"""What reading a ZIP can raise; RuntimeError for one that is encrypted or compressed in another way."""


class SamePlace(Exception):
    """The results of two files would go to the same folder."""


def included(is_dicom: bool) -> dict[str, str]:
    """The query parameter that names the results for an upload."""
    return {"include": ",".join([*(KEPT if is_dicom else ()), *_ROW])}


def results_of(answer: httpx.Response, is_dicom: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON object in an answer, and its other results by file.

    Raises:
        NotTheService: the answer is not a ZIP of these results.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            # By name: whatever else is in the ZIP is not read, and its names make no paths.
            files = {file: archive.read(file) for file in (KEPT.values() if is_dicom else ())}
            report = json.loads(archive.read(_ROW["json"]))
    except _BROKEN as error:
        raise NotTheService(f"{answer.url} answered with something that is not a ZIP of the results") from error
    if not isinstance(report, dict):
        raise NotTheService(f"{answer.url} answered with a result that is not a JSON object")
    return report, files


def place_of(name: str) -> str:
    """The folder for a file's results: its name without ``.dcm`` or ``.dicom``."""
    return _SUFFIX.sub("", name)


def check_places(names: Iterable[str]) -> None:
    """Raises SamePlace where ``chest`` and ``chest.dcm`` would overwrite each other's results."""
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(place_of(name), name)
        if other != name:
            raise SamePlace(f"{other!r} and {name!r} would have their reports in the same folder: rename one of them")
