"""The content decides; what is not read is named."""

import pytest
from pydicom import uid

from app.errors import UnsupportedFormat
from app.intake import Format, sniff

from .dicoms import NATIVE, dicom
from .samples import chest, save

HEIF = b"\0\0\0\x18ftypheic"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_formats_that_are_read(kind: Format) -> None:
    assert sniff(save(chest(), kind)) == kind


def test_dicom_by_its_mark_and_by_its_first_element() -> None:
    gray = chest()
    for syntax in NATIVE[:3]:
        assert sniff(dicom(gray, syntax)) == "DICOM"
        assert sniff(dicom(gray, syntax, preamble=False)) == "DICOM"
    assert sniff(dicom(gray, uid.JPEG2000)[132:]) == "DICOM"
    # What begins as a TIFF file may still be a DICOM file; the other way round there is no such file.
    assert sniff(b"II*\0" + bytes(124) + b"DICM") == "DICOM"


@pytest.mark.parametrize(
    "head",
    [
        b"\x08\0",
        b"\x08\0\5\0\xff\xff\xff\xff",
        b"\x08\0\5\0\0\0\0\0",
        b"\x08\0\xff\xffUI\2\0",
        b"\2\0\0\0ZZ",
        b"\0\x08\0\5\0\0\0\4",
        b"\x08 are the first bytes",
    ],
)
def test_what_only_begins_like_a_data_set(head: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="no known"):
        sniff(head)


def test_both_byte_orders_and_bigtiff() -> None:
    assert {sniff(head + bytes(8)) for head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")} == {"TIFF"}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x20ftypheix", "HEIC"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"%PDF-1.7", "PDF"),
        (HEIF, "HEIC"),
        (b"PK\3\4", "ZIP"),
        (b"BMx is how a letter may begin", "no known picture format"),
        (b"<html>", "no known picture format"),
        (b"", "no known picture format"),
    ],
)
def test_other_formats_are_named(head: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=name):
        sniff(head)
