"""The format of an upload by its first bytes; names and declared types are not believed."""

from typing import Final

from app.errors import UnsupportedFormat
from app.intake.radiograph import Format, Upload

_READ: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_FIRST_VRS: Final = frozenset({b"UL", b"UI", b"CS", b"OB", b"DA", b"TM", b"DT", b"SH", b"LO"})
_LAST_FIRST_ELEMENT: Final = 0x60
"""Modality; what an object's header begins with is below it."""
_LONGEST_FIRST_VALUE: Final = 256
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

# Offset, bytes there, name: formats people do send, named so that the answer says what to convert.
_NAMED: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"%PDF-", "PDF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
)
_ACCEPTED: Final = "DICOM, JPEG, PNG, TIFF and BMP are read"


def sniff(data: Upload) -> Format:
    """The format of ``data``.

    Raises:
        UnsupportedFormat: anything that is not one of the formats read; the detail names it where known.
    """
    head = bytes(data[:132])
    if head.startswith(b"DICM", 128) or _is_bare_dicom(head):
        return "DICOM"
    for magic, name in _READ:
        if head.startswith(magic):
            return name
    if _is_bmp(head):
        return "BMP"
    raise UnsupportedFormat(_refusal(head))


def _is_bmp(head: bytes) -> bool:
    """Two letters are a weak signature: the header's own length has to be a known one too."""
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES


def _is_bare_dicom(head: bytes) -> bool:
    """Whether a data set begins at once, without preamble: an element of group 2, or a low one of group 8.

    Its VR has to be one that such elements have, or its length one that their values have where the VR is implicit.
    """
    big = head[:2] == b"\x00\x08"
    element = int.from_bytes(head[2:4], "big" if big else "little")
    if not (big or head[:2] == b"\x08\x00" or head[:2] == b"\x02\x00") or element > _LAST_FIRST_ELEMENT:
        return False
    if head[4:6] in _FIRST_VRS:
        return True
    return head[:1] == b"\x08" and 0 < int.from_bytes(head[4:8], "little") <= _LONGEST_FIRST_VALUE


def _refusal(head: bytes) -> str:
    """What to tell about an upload that starts with ``head``."""
    for offset, magic, name in _NAMED:
        if head.startswith(magic, offset):
            return f"{name} is not read; {_ACCEPTED}"
    return f"The content is of no known picture format; {_ACCEPTED}"
