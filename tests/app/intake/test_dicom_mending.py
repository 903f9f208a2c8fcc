"""Objects that other readers read: elements whose value representation is none, JPEG 2000 in a file of its own."""

import struct
from collections.abc import Callable
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate

from app.errors import UnreadableImage
from app.intake import Limits, decode
from tests.support.dicoms import deflated, dicom, table, write
from tests.support.samples import chest

GRAY = chest()
TWELVE = np.rint(GRAY * (4095 / 255)).astype(np.uint16)
LIMITS = Limits()
WINDOW = {"WindowCenter": 1000, "WindowWidth": 2001}
WINDOWED = np.rint(np.clip((TWELVE.astype(float) - 999.5) / 2000 + 0.5, 0, 1) * 255)
KINDS = [b"??", b"\0\0", b"ds", b"--", b"OX", b"ZZ", b"\xff\xfe"]


def element(code: bytes, value: bytes, is_long: bool, is_big: bool = False) -> bytes:
    """A private element (0019,1010)."""
    order = ">" if is_big else "<"
    head = struct.pack(order + "HH", 0x19, 0x1010) + code
    return head + struct.pack(order + ("HL" if is_long else "H"), *((0,) if is_long else ()), len(value)) + value


def with_element(made: bytes, syntax: str) -> bytes:
    """A radiograph with an element more, before Group 20."""
    data = dicom(
        TWELVE,
        uid.ExplicitVRBigEndian if syntax == uid.ExplicitVRBigEndian else uid.ExplicitVRLittleEndian,
        12,
        **WINDOW,
    )
    mark = struct.pack((">" if syntax == uid.ExplicitVRBigEndian else "<") + "HH", 0x20, 0xD) + b"UI"
    place = data.index(mark)
    return data[:place] + made + data[place:]


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("value", [b"", b"ab", b"abcd" * 20, b"\0" * 300])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_an_element_of_no_representation_is_passed(code: bytes, is_long: bool, value: bytes, syntax: str) -> None:
    data = with_element(element(code, value, is_long, syntax == uid.ExplicitVRBigEndian), syntax)
    assert np.abs(decode(data, LIMITS).pixels - WINDOWED).max() <= 1


def test_several_of_them_and_longer_ones() -> None:
    made = element(b"??", b"ab" * 1000, False) + element(b"??", b"cd", False)[:2] + b"\x11\x10" + b"??\2\0cd"
    assert np.abs(decode(with_element(made, uid.ExplicitVRLittleEndian), LIMITS).pixels - WINDOWED).max() <= 1
    long = element(b"OX", b"ab" * 100_000, True)
    assert np.abs(decode(with_element(long, uid.ExplicitVRLittleEndian), LIMITS).pixels - WINDOWED).max() <= 1


@pytest.mark.parametrize("code", [b"ds", b"??", b"\0\0", b"Ds"])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1, uid.JPEG2000Lossless])
def test_what_the_standard_knows_is_read_as_it_is(code: bytes, syntax: str) -> None:
    data = dicom(TWELVE, syntax, 12, **WINDOW)
    for tag in (b"\x28\0\x50\x10", b"\x28\0\x51\x10"):
        assert tag + b"DS" in data
        data = data.replace(tag + b"DS", tag + code)
    assert np.abs(decode(data, LIMITS).pixels - WINDOWED).max() <= 1


@pytest.mark.parametrize("code", [b"ow", b"??", b"OX", b"\0\0"])
def test_pixel_data_too(code: bytes) -> None:
    for syntax, pixels in ((uid.ExplicitVRLittleEndian, b"OW"), (uid.JPEGLSLossless, b"OB")):
        data = dicom(TWELVE, syntax, 12, **WINDOW)
        head = b"\xe0\x7f\x10\0"
        assert head + pixels in data
        assert np.abs(decode(data.replace(head + pixels, head + code), LIMITS).pixels - WINDOWED).max() <= 1


@pytest.mark.parametrize("undefined", [False, True])
def test_within_a_sequence(undefined: bool) -> None:
    sequence = table(np.arange(4096)[::-1], 0, 12)
    sequence[0].LUTExplanation = "falling"
    dataset = dcmread(BytesIO(dicom(TWELVE, bits=12, VOILUTSequence=sequence)))
    dataset["VOILUTSequence"].is_undefined_length = undefined
    sequence[0].is_undefined_length_sequence_item = undefined
    data = write(dataset)
    assert (decode(data, LIMITS).pixels == 255 - GRAY).all()
    for code in (b"lo", b"??"):
        odd = data.replace(b"\x28\0\3\x30LO", b"\x28\0\3\x30" + code)
        assert odd != data and (decode(odd, LIMITS).pixels == 255 - GRAY).all()


def test_in_a_deflated_data_set() -> None:
    plain = with_element(element(b"??", b"abcd", False), uid.ExplicitVRLittleEndian)
    start = 144 + int.from_bytes(plain[140:144], "little")
    data = deflated(dicom(TWELVE, uid.DeflatedExplicitVRLittleEndian, 12, **WINDOW), plain[start:])
    assert np.abs(decode(data, LIMITS).pixels - WINDOWED).max() <= 1


def in_a_file(samples: np.ndarray, codec: str = "jp2") -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(samples, 0, codecformat=codec, bitspersample=12))


@pytest.mark.parametrize(
    "change",
    [lambda file: file, lambda file: file + b"\0", lambda file: extended(file)],
    ids=["as it is", "filled up", "with a long length"],
)
def test_a_jpeg_2000_file_is_its_codestream(change: Callable[[bytes], bytes]) -> None:
    file = in_a_file(TWELVE)
    assert file[4:8] == b"jP  "
    data = dicom(TWELVE, uid.JPEG2000Lossless, 12, pixel_data=encapsulate([change(file)]))
    found = decode(data, LIMITS)
    assert (found.pixels == GRAY).all() and found.flags == ()


def extended(file: bytes) -> bytes:
    """The file with a box before the codestream, whose own length is of eight bytes, and one after it."""
    place = file.index(b"jp2c") - 4
    length = int.from_bytes(file[place : place + 4], "big") or len(file) - place
    stream = file[place + 8 : place + length]
    head = struct.pack(">L4sQ", 1, b"jp2c", len(stream) + 16)
    return file[:place] + b"\0\0\0\x0cxml <?>\n" + head + stream + b"\0\0\0\x0cfreeabcd"


@pytest.mark.parametrize(
    "change", [lambda file: file[:100], lambda file: file[: file.index(b"jp2c")], lambda file: file[:-99]]
)
def test_a_damaged_one_is_refused(change: Callable[[bytes], bytes]) -> None:
    data = dicom(TWELVE, uid.JPEG2000Lossless, 12, pixel_data=encapsulate([change(in_a_file(TWELVE))]))
    with pytest.raises(UnreadableImage):
        decode(data, LIMITS)


def test_one_with_a_palette_is_refused() -> None:
    file = in_a_file(TWELVE)
    place = file.index(b"jp2h")
    length = int.from_bytes(file[place - 4 : place], "big")
    palette = b"\0\0\0\x10pclr" + bytes(8)
    end = place - 4 + length
    made = file[: place - 4] + (length + 16).to_bytes(4, "big") + file[place:end] + palette + file[end:]
    with pytest.raises(UnreadableImage, match="palette"):
        decode(dicom(TWELVE, uid.JPEG2000Lossless, 12, pixel_data=encapsulate([made])), LIMITS)
