"""The content decides; what is not read is named."""

import pytest

from app.errors import UnsupportedFormat
from app.intake import Format, sniff

from .samples import chest, save

HEIF = b"\0\0\0\x18ftypheic"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_formats_that_are_read(kind: Format) -> None:
    assert sniff(save(chest(), kind)) == kind


def test_both_byte_orders_and_bigtiff() -> None:
    assert {sniff(head + bytes(8)) for head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")} == {"TIFF"}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (bytes(128) + b"DICM", "DICOM is not yet read"),
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
