"""Elements whose value representation is none (PS3.5 6.2): given one in place, so that what follows them is found.

DCMTK takes two capitals for a representation of days to come, which has a long length, and all else for an element
with a short one. So it is here, unless no element follows at that length but one does at the other.
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
    """The head of an element, read in each way: with a short length, a long one, or without a representation.

    Attributes:
        ends: where the next element would be, in each of these ways.
    """

    tag: int
    code: bytes
    ends: tuple[int, int, int]


def mend(file: MeteredFile, start: int, is_big: bool) -> bool:
    """Rewrites such representations in ``file``, up to the pixel data; whether there was one.

    Args:
        start: of a data set with representations.

    Raises:
        OSError: the file's allowance is spent.
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
            # Sequences are walked through.
            is_inside = long >= _UNDEFINED or (element.code == b"SQ" and element.tag != _ICON)
            place = place + 12 if is_inside else long
    return found


def _read(file: MeteredFile, place: int, is_big: bool) -> _Element | None:
    """The head at ``place``; None at the file's end."""
    file.seek(place)
    content = file.read(12)
    if len(content) < 8:
        return None
    order = ">" if is_big else "<"
    group, element, code, short = Struct(order + "HH2sH").unpack_from(content)
    bare, long = Struct(order + "LL").unpack_from(content.ljust(12, b"\xff"), 4)
    return _Element(group << 16 | element, code, (place + 8 + short, place + 12 + long, place + 8 + bare))


def _end(file: MeteredFile, element: _Element, is_big: bool) -> int:
    """Where the next element is: the first of the ways in which there is one; else, as pydicom takes it to be."""
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
    """The representation that the standard gives the element, or text, where that has a long length."""
    try:
        codes = [name.encode() for name in dictionary_VR(tag).split(" or ")]
    except KeyError:
        codes = []
    return next((code for code in codes if code not in _LONG), b"LO")
