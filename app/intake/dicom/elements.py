"""The elements of a header: cleans them, so that each can be read, and reads single values.

A value may be absent, multiple, or of the wrong type for its VR.
"""

import re
from math import isfinite
from typing import Any, Final

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from app.errors import UnreadableImage
from app.intake.dicom.damage import DAMAGE

MAX_ELEMENTS: Final = 10_000
MAX_DEPTH: Final = 8
MAX_VALUE_BYTES: Final = 64 * 1024
MAX_TABLE_BYTES: Final = 1024 * 1024
_TABLES: Final = frozenset({0x00283000, 0x00283010, 0x00283006, 0x00281201, 0x00281202, 0x00281203})
"""Modality and VOI LUT Sequence, their LUT Data, and palette data: up to 65,536 entries each."""
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
_KNOWN: Final = frozenset(representation.value for representation in VR)
_BULK: Final = frozenset({0x00880200, 0x54000100, 0xFFFAFFFA, 0xFFFCFFFC})
"""Icon, waveform and signature sequences, trailing padding."""
_BULK_GROUPS: Final = frozenset({0x5000, 0x6000, 0x7F00})
"""Curves, overlays and variable pixel data, each in a range of groups."""


class UnknownRepresentation(Exception):
    """An element has an invalid value representation, so its content may have been misread."""


def clean(dataset: Dataset, strict: bool = False) -> None:
    """Converts every element in place, and removes those that are private, bulk, too large or cannot be converted.

    Radiographs in archives have empty, misspelt and overlong values in elements that are not needed here. They are no
    reason to refuse a picture, but must not trip later readers of the header.

    Raises:
        UnreadableImage: implausibly many elements.
        UnknownRepresentation: an invalid value representation, and ``strict`` is set.
    """
    _clean(dataset, 0, 0, strict)


def _clean(dataset: Dataset, depth: int, count: int, strict: bool) -> int:
    """Cleans one level; returns the number of elements met so far."""
    for tag in list(dataset.keys()):
        count += 1
        if count > MAX_ELEMENTS:
            raise UnreadableImage(f"The header has more than {MAX_ELEMENTS} elements")
        element = _as_read(dataset, tag)
        if strict and not _is_represented(element):
            raise UnknownRepresentation
        if not _is_wanted(element, tag) or not _converts(dataset, tag):
            del dataset[tag]
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            if depth == MAX_DEPTH:
                del dataset[tag]
                continue
            for item in element.value:
                count = _clean(item, depth + 1, count + 1, strict)
    return count


def _as_read(dataset: Dataset, tag: BaseTag) -> DataElement | RawDataElement | None:
    """The element, unconverted if possible; None where its conversion fails."""
    try:
        return dataset.get_item(tag)
    except DAMAGE:
        # pydicom converts an empty element at once.
        return None


def _is_represented(element: DataElement | RawDataElement | None) -> bool:
    if isinstance(element, RawDataElement):
        return element.is_implicit_VR or element.VR in _KNOWN
    return element is not None


def _is_wanted(element: DataElement | RawDataElement | None, tag: BaseTag) -> bool:
    if tag.is_private or tag in _BULK or tag.group & 0xFF00 in _BULK_GROUPS or tag.group >= 0x7FE0:
        return False
    if not isinstance(element, RawDataElement) or not element.value:
        return True
    return len(element.value) <= (MAX_TABLE_BYTES if tag in _TABLES else MAX_VALUE_BYTES)


def _converts(dataset: Dataset, tag: BaseTag) -> bool:
    try:
        element = dataset[tag]
    except DAMAGE:
        return False
    # An element that pydicom knows as a sequence may still hold bytes, where the file gives another VR.
    return element.VR != "SQ" or all(isinstance(item, Dataset) for item in element.value or ())


def read_integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """An integer of the header; ``default`` where it is absent or empty.

    Raises:
        UnreadableImage: the value is no number, or is absent and has no default.
    """
    value = dataset.get(keyword)
    if value is None or value == "":
        if default is None:
            raise UnreadableImage(f"The header lacks {keyword}")
        return default
    try:
        return int(value)
    except DAMAGE as error:
        raise UnreadableImage(f"The header's {keyword} is no number") from error


def read_number(value: Any) -> float | None:
    """The first of an element's values; None where it is absent or not a finite number."""
    values = read_values(value)
    try:
        number = float(values[0])
    except DAMAGE:
        return None
    return number if isfinite(number) else None


def read_code(value: Any) -> str | None:
    """A code string (VR CS: at most 16 capitals, digits, spaces and underscores); None for any other value."""
    text = str(value).strip() if isinstance(value, str) else ""
    return text if _CODE.fullmatch(text) else None


def read_values(value: Any) -> list[Any]:
    """All of an element's values."""
    if isinstance(value, MultiValue | list | tuple):
        return list(value)
    return [] if value is None else [value]
