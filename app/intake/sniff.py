"""The format of an upload by its first bytes; names and declared types are not believed."""

from typing import Final

from app.errors import UnsupportedFormat
from app.intake.radiograph import Format, Upload
from app.intake.wrappings import advice_by_content

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
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000 outside of DICOM"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000 outside of DICOM"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
)
# What the file type box of a still picture or a sequence says, first as its own brand, then as those it keeps to.
_BRANDS: Final = (
    (frozenset({b"avif", b"avis"}), "AVIF"),
    (
        frozenset(
            (
                b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 mif3 msf1 miaf avci avcs"
                b" vvic vvis evbi evbs evmi evms jpeg jpgs j2ki j2is"
            ).split()
        ),
        "HEIC",
    ),
)
_JPEG_LS_FRAME: Final = 0xF7
# A scan, or the end.
_PAST_HEADER: Final = (0xDA, 0xD9)
_MAX_SEGMENTS: Final = 64
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
            if name == "JPEG" and _is_jpeg_ls(data):
                raise UnsupportedFormat(f"JPEG-LS outside of DICOM is not read; {_ACCEPTED}")
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


def _is_jpeg_ls(data: Upload) -> bool:
    """Whether the first frame is one of JPEG-LS, which begins as a JPEG does; no more than a few segments are seen."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        segment = bytes(data[place : place + 4])
        if len(segment) < 4 or segment[0] != 0xFF or segment[1] in _PAST_HEADER:
            return False
        if segment[1] == _JPEG_LS_FRAME:
            return True
        # A marker may be filled up in front.
        place += 1 if segment[1] == 0xFF else 2 + int.from_bytes(segment[2:], "big")
    return False


def _brand(head: bytes) -> str | None:
    """The format that a file type box (ISO/IEC 14496-12) names."""
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}
    return next((name for known, name in _BRANDS if known & brands), None)


def _refusal(head: bytes) -> str:
    """What to tell about an upload that starts with ``head``."""
    name = next((name for offset, magic, name in _NAMED if head.startswith(magic, offset)), None) or _brand(head)
    if name:
        return f"{name} is not read; {_ACCEPTED}"
    return advice_by_content(head) or f"The content is of no known picture format; {_ACCEPTED}"
