"""A JPEG 2000 file (JP2, JPH; ITU-T T.800 annex I) → its codestream."""

from typing import Final

from app.errors import UnreadableImage

_MARK: Final = b"\x00\x00\x00\x0cjP  "
_MAX_BOXES: Final = 1024


def bare_codestream(data: bytes) -> bytes:
    """The first codestream in ``data`` if that is a JPEG 2000 file, else ``data`` as it is.

    DICOM requires the bare codestream (PS3.5 A.4.4), but some writers keep the file around it.

    Raises:
        UnreadableImage: a file without a codestream, or with a palette, whose samples are indices instead of values.
    """
    if not data.startswith(_MARK):
        return data
    place = 0
    for _ in range(_MAX_BOXES):
        length, kind, start = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8], place + 8
        if length == 1:
            length, start = int.from_bytes(data[place + 8 : place + 16], "big"), place + 16
        end = place + length if length else len(data)
        if kind == b"jp2c":
            return data[start:end]
        if kind == b"jp2h" and b"pclr" in data[start:end]:
            raise UnreadableImage("The compressed pixel data have a palette")
        if end < start or end >= len(data):
            break
        place = end
    raise UnreadableImage("The compressed pixel data are damaged or cut off")
