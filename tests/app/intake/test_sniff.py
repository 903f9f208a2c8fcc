"""The content decides; what is not read is named."""

import base64
import json

import imagecodecs
import pytest
from pydicom import uid

from app.errors import UnsupportedFormat
from app.intake import Format, sniff
from tests.support.dicoms import NATIVE, dicom
from tests.support.samples import chest, save


def file_type(major: str, *others: str) -> bytes:
    """A file type box, with the beginning of the next one."""
    brands = "".join(others).encode()
    return (16 + len(brands)).to_bytes(4, "big") + b"ftyp" + major.encode() + bytes(4) + brands + b"\0\0\1\0meta"


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
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"%PDF-1.7", "PDF"),
        *((file_type(brand), "HEIC") for brand in ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs")),
        *((file_type(brand), "HEIC") for brand in ("mif1", "mif2", "msf1", "avci", "vvic", "j2ki")),
        (file_type("XXXX", "mif1", "heic"), "HEIC"),
        (file_type("avif", "mif1", "miaf"), "AVIF"),
        (file_type("mif1", "avif", "miaf"), "AVIF"),
        (file_type("isom", "mp42") + b"heic", "no known picture format"),
        (b"\xff\x0a\x7f\x00", "JPEG XL"),
        (b"PK\3\4", "ZIP"),
        (b"BMx is how a letter may begin", "no known picture format"),
        (b"<html>", "no known picture format"),
        (b"", "no known picture format"),
    ],
)
def test_other_formats_are_named(head: bytes, name: str) -> None:
    assert name in refusal(head)


def refusal(data: bytes) -> str:
    with pytest.raises(UnsupportedFormat) as caught:
        sniff(data)
    return caught.value.detail


def test_codestreams_by_their_makers_are_named() -> None:
    gray = chest()
    assert "JPEG 2000" in refusal(imagecodecs.jpeg2k_encode(gray, codecformat="jp2"))
    assert "JPEG 2000" in refusal(imagecodecs.jpeg2k_encode(gray, codecformat="j2k"))
    assert "JPEG XL" in refusal(imagecodecs.jpegxl_encode(gray, usecontainer=False))
    assert "JPEG XL" in refusal(imagecodecs.jpegxl_encode(gray, usecontainer=True))


SEGMENTS = {
    "none": b"",
    "a comment": b"\xff\xfe\0\7hello",
    "two, one filled up": b"\xff\xe8\0\4ab\xff\xff\xff\xfe\0\2",
    "the longest": b"\xff\xe1\xff\xff" + bytes(65_533),
}


@pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS)
def test_a_jpeg_ls_file_is_named(segment: bytes) -> None:
    encoded = imagecodecs.jpegls_encode(chest())
    frame = encoded.index(b"\xff\xf7")
    assert "JPEG-LS" in refusal(encoded[:2] + segment + encoded[2:])
    assert "JPEG-LS" in refusal(encoded[:2] + segment + encoded[frame:])


@pytest.mark.parametrize(
    "segment",
    [*SEGMENTS.values(), b"\xff\xfe\0\6\xff\xf7\0\4", b"rubbish"],
    ids=[*SEGMENTS, "a frame of JPEG-LS in a comment", "rubbish"],
)
def test_a_jpeg_is_one_whatever_its_header_holds(segment: bytes) -> None:
    encoded = save(chest(), "JPEG")
    assert sniff(encoded[:2] + b"\xff\xfe\0\2" + segment + encoded[2:]) == "JPEG"
    assert sniff(encoded + b"\xff\xf7\0\4") == "JPEG"
    assert sniff(encoded[:3]) == "JPEG"


PNG = save(chest(), "PNG")
TEXT = base64.b64encode(PNG)
OWN_BYTES = "send the file's own bytes"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (TEXT, "Base64"),
        (base64.encodebytes(PNG), "Base64"),
        (base64.urlsafe_b64encode(b"\xff\xfb" * 100), "Base64"),
        (b"data:image/png;base64," + TEXT, "Base64"),
        (json.dumps(TEXT.decode()).encode(), "Base64"),
        (json.dumps({"file": TEXT.decode()}, indent=2).encode(), "JSON"),
        (b"\xef\xbb\xbf " + json.dumps([list(PNG)]).encode(), "JSON"),
        (b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + PNG + b"\r\n--XX--", "multipart"),
    ],
    ids=["one line", "lines", "for URLs", "a data URL", "a JSON string", "a JSON object", "a JSON list", "multipart"],
)
def test_who_wraps_a_file_is_told_what_to_send(body: bytes, what: str) -> None:
    assert what in refusal(body)
    assert OWN_BYTES in refusal(body)


@pytest.mark.parametrize(
    "body",
    [b"A" * 63, b"a few words " * 20, b"{a letter", b"--\r\n", b"--XX\r\n\0\0\0\0"],
    ids=["few letters", "words", "a brace", "a boundary without a name", "a boundary before zeros"],
)
def test_what_only_begins_like_a_wrapped_file(body: bytes) -> None:
    assert "no known picture format" in refusal(body)
