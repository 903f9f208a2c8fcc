"""Reads single values of a header, which may be absent, multiple, or of the wrong type for their VR."""

import re
from math import isfinite
from typing import Any, Final

from pydicom import Dataset
from pydicom.multival import MultiValue

from app.errors import UnreadableImage
from app.intake.dicom.damage import DAMAGE

_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")


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
