"""Checks a PNG's checksums and drops the chunks that its picture does not need.

Pillow does not check the checksums of pixel data. It also unpacks and keeps every text, profile and private chunk: a
small upload can hold thousands of those, each a megabyte unpacked.
"""

import zlib
from typing import Final

from app.errors import UnreadableImage

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})
_MAX_CHUNKS: Final = 16_384


def essential(data: bytes) -> bytes:
    """``data`` with only the chunks that decide its pixels; of an APNG only the first frame stays.

    Raises:
        UnreadableImage: cut off before its end, in implausibly many chunks, or with a wrong checksum.
    """
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [_SIGNATURE]
    start = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        length = int.from_bytes(view[start : start + 4], "big")
        end = start + 12 + length
        if end > len(view):
            raise UnreadableImage("The PNG is cut off before its end")
        kind = data[start + 4 : start + 8]
        if kind in _KEPT:
            _check(view[start + 4 : end])
            pieces.append(view[start:end])
        if kind == b"IEND":
            return b"".join(pieces)
        start = end
    raise UnreadableImage(f"The PNG is in more than {_MAX_CHUNKS} chunks")


def _check(chunk: memoryview) -> None:
    """Checks the checksum of a chunk (type, data, checksum); raises UnreadableImage."""
    if zlib.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:], "big"):
        raise UnreadableImage("The PNG is damaged: a checksum does not match")
