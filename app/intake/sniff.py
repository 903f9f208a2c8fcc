"""Finds the format of an upload from its first bytes. File names and declared types are ignored."""

from typing import Final

from app.errors import UnsupportedFormat
from app.intake.upload import Format, Upload
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
"""Modality: a header begins with an element up to this one."""
_LONGEST_FIRST_VALUE: Final = 256
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

# Offset, bytes there, name: other formats that people send, so that the answer says what to convert.
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
# Brands in the file type box of a still picture or a sequence.
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
# Markers of a scan and of the end.
_PAST_HEADER: Final = (0xDA, 0xD9)
_MAX_SEGMENTS: Final = 64
_ACCEPTED: Final = "DICOM, JPEG, PNG, TIFF and BMP are read"


def sniff(data: Upload) -> Format:
    """The format of ``data``.

    Raises:
        UnsupportedFormat: not a format that this service reads; the detail names it where known.
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
    """Whether this is a BMP. Two letters are a weak signature, so the header's length has to be a known one too."""
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES


def _is_bare_dicom(head: bytes) -> bool:
    """Whether a data set begins at once, without a preamble, with an element of group 2 or a low one of group 8.

    That element has to have one of the VRs of such elements, or, with implicit VR, a plausible length.
    """
    big = head[:2] == b"\x00\x08"
    element = int.from_bytes(head[2:4], "big" if big else "little")
    if not (big or head[:2] == b"\x08\x00" or head[:2] == b"\x02\x00") or element > _LAST_FIRST_ELEMENT:
        return False
    if head[4:6] in _FIRST_VRS:
        return True
    return head[:1] == b"\x08" and 0 < int.from_bytes(head[4:8], "little") <= _LONGEST_FIRST_VALUE


def _is_jpeg_ls(data: Upload) -> bool:
    """Whether ``data`` is JPEG-LS, which begins as JPEG does; looks at the first ``_MAX_SEGMENTS`` segments."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        segment = bytes(data[place : place + 4])
        if len(segment) < 4 or segment[0] != 0xFF or segment[1] in _PAST_HEADER:
            return False
        if segment[1] == _JPEG_LS_FRAME:
            return True
        # Fill bytes of 0xFF may stand before a marker.
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
    """The problem's detail for an upload that starts with ``head``."""
    name = next((name for offset, magic, name in _NAMED if head.startswith(magic, offset)), None) or _brand(head)
    if name:
        return f"{name} is not read; {_ACCEPTED}"
    return advice_by_content(head) or f"The content is of no known picture format; {_ACCEPTED}"
