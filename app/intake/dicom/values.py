"""Single values of a header, which may be absent, several, or not of their VR's kind."""

import re
from math import isfinite
from typing import Any, Final

from pydicom import Dataset
from pydicom.multival import MultiValue

from app.errors import UnreadableImage
from app.intake.dicom.damage import DAMAGE

_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")


def read_integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """A number of the header; ``default`` where it is absent or empty.

    Raises:
        UnreadableImage: no number, or none and no default.
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
    """The first of an element's values; None where there is none that is finite."""
    values = read_values(value)
    try:
        number = float(values[0])
    except DAMAGE:
        return None
    return number if isfinite(number) else None


def read_code(value: Any) -> str | None:
    """A code string (VR CS: 16 capitals, digits, spaces and underscores at most) as it stands; else None."""
    text = str(value).strip() if isinstance(value, str) else ""
    return text if _CODE.fullmatch(text) else None


def read_values(value: Any) -> list[Any]:
    """All of an element's values."""
    if isinstance(value, MultiValue | list | tuple):
        return list(value)
    return [] if value is None else [value]
