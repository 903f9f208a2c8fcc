"""Encapsulated pixel data → the codestream of their one frame (PS3.5 A.4)."""

import struct
from typing import Final

from app.errors import UnreadableImage

MAX_FRAGMENTS: Final = 65_536
_ITEM, _DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_CUT_OFF: Final = "The pixel data are cut off before their end"


def join_fragments(pixels: memoryview) -> bytes:
    """All fragments after the offset table, joined: with one frame they are its codestream.

    Args:
        pixels: from the first item on; what follows the sequence's end is ignored.

    Raises:
        UnreadableImage: damaged or cut off, implausibly many fragments, or none after the offset table.
    """
    fragments: list[memoryview] = []
    place = 0
    for _ in range(MAX_FRAGMENTS):
        if place + 8 > len(pixels):
            raise UnreadableImage(_CUT_OFF)
        group, element, length = struct.unpack_from("<HHL", pixels, place)
        if (group, element) == _DELIMITER:
            if len(fragments) < 2:
                raise UnreadableImage("The pixel data are empty")
            return b"".join(fragments[1:])
        if (group, element) != _ITEM:
            raise UnreadableImage("The pixel data are damaged: they are not a sequence of fragments")
        place += 8 + length
        if place > len(pixels):
            raise UnreadableImage(_CUT_OFF)
        fragments.append(pixels[place - length : place])
    raise UnreadableImage(f"The pixel data are in more than {MAX_FRAGMENTS} fragments")
