"""Replaces invalid value representations (PS3.5 6.2), so that the elements after them are found.

DCMTK reads two unknown capitals as a future representation with a long length field, and anything else as one with a
short length field. The same is done here, unless an element follows only where the other length field says.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from app.intake.guards import MeteredFile

_CODES: Final = frozenset(code.value.encode() for code in VR if len(code.value) == 2)
_LONG: Final = frozenset(code.value.encode() for code in EXPLICIT_VR_LENGTH_32)
_ITEM_GROUP, _ENDS = 0xFFFE, frozenset({0xFFFEE00D, 0xFFFEE0DD})
_ICON, _PIXELS, _UNDEFINED = 0x00880200, 0x7FE00010, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Element:
    """The head of an element.

    Attributes:
        ends: where the next element would be if this one had a short length field, a long one, or no representation.
    """

    tag: int
    code: bytes
    ends: tuple[int, int, int]


def mend(file: MeteredFile, start: int, is_big: bool) -> bool:
    """Replaces invalid representations in ``file``, up to the pixel data; returns whether there was one.

    Args:
        start: where the data set begins, which has explicit VR.

    Raises:
        OSError: the file's limit on reads or bytes is exceeded.
    """
    place, found = start, False
    while (element := _read(file, place, is_big)) is not None:
        short, long, bare = element.ends
        if element.tag >> 16 == _ITEM_GROUP:
            place += 8
        elif element.code not in _CODES:
            end = _end(file, element, is_big)
            if end != bare:
                file.seek(place + 4)
                file.write(_short_code(element.tag) if end == short else b"UN")
                found = True
            place = end
        elif element.tag == _PIXELS:
            break
        elif element.code not in _LONG:
            place = short
        else:
            # The elements inside a sequence are visited too.
            is_inside = long >= _UNDEFINED or (element.code == b"SQ" and element.tag != _ICON)
            place = place + 12 if is_inside else long
    return found


def _read(file: MeteredFile, place: int, is_big: bool) -> _Element | None:
    """The element head at ``place``; None at the file's end."""
    file.seek(place)
    content = file.read(12)
    if len(content) < 8:
        return None
    order = ">" if is_big else "<"
    group, element, code, short = Struct(order + "HH2sH").unpack_from(content)
    bare, long = Struct(order + "LL").unpack_from(content.ljust(12, b"\xff"), 4)
    return _Element(group << 16 | element, code, (place + 8 + short, place + 12 + long, place + 8 + bare))


def _end(file: MeteredFile, element: _Element, is_big: bool) -> int:
    """Where the next element begins: the first length field that leads to one, else where pydicom looks for it."""
    short, long, bare = element.ends
    if element.tag == _PIXELS:
        return long
    for end in (long, short) if element.code.isalpha() and element.code.isupper() else (short, long):
        following = _read(file, end, is_big)
        if following is not None and (
            following.code in _CODES
            or following.tag in _ENDS
            or (following.code == element.code and following.tag > element.tag)
        ):
            return end
    return bare


def _short_code(tag: int) -> bytes:
    """The element's representation in the standard, or text (LO) where that one has a long length field."""
    try:
        codes = [name.encode() for name in dictionary_VR(tag).split(" or ")]
    except KeyError:
        codes = []
    return next((code for code in codes if code not in _LONG), b"LO")
