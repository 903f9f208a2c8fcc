"""Damaged, oversized and hostile DICOM: refused, within bounds of time and memory."""

import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from app.errors import ImageTooLarge, ImageTooSmall, Problem, UnreadableImage, UnsupportedDicom
from app.intake import Limits, decode
from tests.support.dicoms import ENCODERS, SYNTAXES, deflated, dicom, header, write
from tests.support.samples import chest

GRAY = chest()
TWELVE = GRAY.astype(np.uint16) * 16
LIMITS = Limits(max_pixels=200_000, max_side=1000)
FILES = {syntax: dicom(GRAY, syntax) for syntax in SYNTAXES}
IDS: Callable[[Any], str] = lambda value: uid.UID(value).keyword if str(value).startswith("1.2") else str(value)  # noqa: E731


def refused(data: bytes, problem: type[Problem] = UnreadableImage) -> str:
    with pytest.raises(problem) as caught:
        decode(data, LIMITS)
    return caught.value.detail


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.9, 0.997])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=IDS)
def test_a_truncated_file_is_refused(syntax: str, part: float) -> None:
    with pytest.raises(Problem) as caught:
        decode(FILES[syntax][: int(len(FILES[syntax]) * part)], LIMITS)
    assert caught.value.status in (415, 422)


@pytest.mark.parametrize("syntax", ENCODERS, ids=IDS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_truncated_codestream_in_whole_fragments_is_unreadable(syntax: str, part: float) -> None:
    stream = ENCODERS[syntax](GRAY, 8)
    refused(dicom(GRAY, syntax, pixel_data=encapsulate([stream[: int(len(stream) * part)]])))


@pytest.mark.parametrize("syntax", ENCODERS, ids=IDS)
def test_a_codestream_of_another_size_is_unreadable(syntax: str) -> None:
    other = np.zeros((GRAY.shape[0] + 8, GRAY.shape[1]), np.uint8)
    refused(dicom(GRAY, syntax, pixel_data=encapsulate([ENCODERS[syntax](other, 8)])))
    if syntax != uid.RLELossless:
        large = ENCODERS[syntax](np.zeros((4000, 4000), np.uint8), 8)
        assert "another size" in refused(dicom(GRAY, syntax, pixel_data=encapsulate([large])))


@pytest.mark.parametrize("syntax", ENCODERS, ids=IDS)
def test_a_codestream_of_another_kind_is_unreadable(syntax: str) -> None:
    for other in (ENCODERS[uid.JPEG2000Lossless], ENCODERS[uid.JPEGLosslessSV1], ENCODERS[uid.JPEGLSLossless]):
        stream = other(GRAY, 8)
        if stream[:4] != ENCODERS[syntax](GRAY, 8)[:4]:
            refused(dicom(GRAY, syntax, pixel_data=encapsulate([stream])))


def test_missing_and_empty_pixel_data() -> None:
    module = {
        "Rows": 80,
        "Columns": 96,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "PhotometricInterpretation": "MONOCHROME2",
    }
    assert "no pixel data" in refused(write(header(**module)))
    assert "no pixel data" in refused(dicom(GRAY, pixel_data=b""))
    assert "cut off" in refused(dicom(GRAY, pixel_data=GRAY.tobytes()[:-2]))
    table_alone = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    assert "empty" in refused(dicom(GRAY, uid.JPEGLSLossless, pixel_data=table_alone))


def test_encapsulation_that_the_syntax_does_not_have() -> None:
    packed, lossless = FILES[uid.JPEGLSLossless], uid.JPEGLSLossless.encode()
    native = uid.ExplicitVRLittleEndian.encode().ljust(len(lossless), b"\0")
    assert "encapsulated" in refused(packed.replace(lossless, native))
    bare = dicom(GRAY, uid.ExplicitVRLittleEndian)
    rle = uid.RLELossless.encode().ljust(20, b"\0")
    assert "not encapsulated" in refused(bare.replace(uid.ExplicitVRLittleEndian.encode() + b"\0", rle))


@pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated", "BitsStored"])
def test_what_has_to_be_there_is_named(missing: str) -> None:
    assert missing in refused(dicom(GRAY, **{missing: None}))


def test_sizes_out_of_bounds() -> None:
    for shape, problem in (((63, 64), ImageTooSmall), ((64, 1001), ImageTooLarge), ((500, 401), ImageTooLarge)):
        assert f"{shape[1]} x {shape[0]} pixels" in refused(dicom(np.zeros(shape, np.uint8)), problem)
    assert "pixels" in refused(dicom(GRAY, Rows=65535, Columns=65535), ImageTooLarge)


def test_bits_that_contradict_each_other() -> None:
    assert "contradict" in refused(dicom(TWELVE, HighBit=3))
    assert "contradict" in refused(dicom(GRAY, BitsStored=12, HighBit=11))


def test_a_transfer_syntax_that_is_not_read_is_named() -> None:
    data = FILES[uid.JPEGLSLossless]
    other = data.replace(uid.JPEGLSLossless.encode(), b"1.2.840.10008.1.2.4.94")
    assert "JPIP Referenced" in refused(other, UnsupportedDicom)
    assert "unknown" in refused(data.replace(uid.JPEGLSLossless.encode(), b"1.2.840.10008.1.9.4.71"), UnsupportedDicom)


def _implicit(element: int, length: int, value: bytes = b"") -> bytes:
    return struct.pack("<HHL", 0x0018, element, length) + value


def _with(elements: bytes) -> bytes:
    """A header in implicit VR that goes on with ``elements``, without pixels."""
    return write(header(), uid.ImplicitVRLittleEndian) + elements


def _j2k() -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(np.zeros((400, 400), np.uint8), 0, codecformat="j2k"))


def _with_precincts(stream: bytes, layers: int = 1, exponent: int = 0) -> bytes:
    """A JPEG 2000 codestream whose precincts are of 2 ** ``exponent`` pixels, as its header says."""
    at = stream.index(b"\xff\x52")
    length = int.from_bytes(stream[at + 2 : at + 4], "big")
    style = bytearray(stream[at + 4 : at + 2 + length])
    style[0] |= 1
    style[2:4] = layers.to_bytes(2, "big")
    style += bytes([exponent * 17]) * (style[5] + 1)
    return stream[: at + 2] + (len(style) + 2).to_bytes(2, "big") + bytes(style) + stream[at + 2 + length :]


def _with_tiles(stream: bytes, side: int) -> bytes:
    """A JPEG 2000 codestream whose header says that it is in tiles of ``side`` pixels."""
    at = stream.index(b"\xff\x51") + 22
    return stream[:at] + side.to_bytes(4, "big") * 2 + stream[at + 8 :]


def _sized(pixel_data: bytes, syntax: str) -> bytes:
    return dicom(np.zeros((400, 400), np.uint8), syntax, pixel_data=encapsulate([pixel_data]))


NESTED = b"\xfe\xff\0\xe0\xff\xff\xff\xff\x40\0\x75\x02\xff\xff\xff\xff"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "deflated zeros": lambda: deflated(FILES[uid.DeflatedExplicitVRLittleEndian], bytes(64 << 20)),
    "deflated elements": lambda: deflated(FILES[uid.DeflatedExplicitVRLittleEndian], b"\x10\0\0\x40LO\0\0" * (1 << 20)),
    "elements": lambda: _with(b"".join(_implicit(at % 65536, 0) for at in range(500_000))),
    "long value": lambda: _with(_implicit(0x10, 30 << 20, bytes(30 << 20))),
    "length beyond the end": lambda: _with(_implicit(0x10, 0xFFFFFFFE)),
    "nested sequences": lambda: _with(b"\x40\0\x75\x02\xff\xff\xff\xff" + NESTED * 100_000),
    "items": lambda: _with(b"\x40\0\x75\x02\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" * 500_000),
    "fragments": lambda: dicom(
        GRAY, uid.JPEGLSLossless, pixel_data=b"\xfe\xff\0\xe0\0\0\0\0" * 1_000_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    ),
    "run-lengths": lambda: _sized(struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 2_000_000, uid.RLELossless),
    "stuffed bytes": lambda: _sized(ENCODERS[uid.JPEGLossless](GRAY, 8)[:-2] + b"\xff\0" * 4_000_000, uid.JPEGLossless),
    "precincts": lambda: _sized(_with_precincts(_j2k()), uid.JPEG2000),
    "layers": lambda: _sized(_with_precincts(_j2k(), 65535, 15), uid.JPEG2000),
    "tiles": lambda: _sized(_with_tiles(_j2k(), 4), uid.JPEG2000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little(name: str) -> None:
    data = HOSTILE[name]()
    began = time.process_time()
    tracemalloc.start()
    try:
        refused(data, Problem)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * len(data) + 40_000_000
    assert time.process_time() - began < 4


def test_nothing_after_the_pixels_is_inflated() -> None:
    data = FILES[uid.DeflatedExplicitVRLittleEndian]
    start = 144 + int.from_bytes(data[140:144], "little")
    plain = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    longer = deflated(data, plain + bytes(128 << 20))
    tracemalloc.start()
    try:
        found = decode(longer, Limits())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.array_equal(found.pixels, decode(data, Limits()).pixels)
    assert peak < 60_000_000


def test_a_header_is_inflated_as_it_is_read() -> None:
    data = HOSTILE["deflated zeros"]()
    tracemalloc.start()
    try:
        refused(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


def test_a_long_upload_is_not_copied_for_each_piece_of_its_header() -> None:
    value = bytes(60_000)
    element = b"\x10\0\0\x40UN\0\0" + len(value).to_bytes(4, "little") + value
    noise = np.random.default_rng(1).bytes(60_000_000)
    data = deflated(FILES[uid.DeflatedExplicitVRLittleEndian], element * 250 + noise)
    began = time.process_time()
    refused(data, Problem)
    assert time.process_time() - began < 1


def test_a_long_deflated_header_is_read_whole() -> None:
    profile = np.random.default_rng(1).bytes(400_000)
    found = decode(dicom(GRAY, uid.DeflatedExplicitVRLittleEndian, ICCProfile=profile), LIMITS)
    assert (found.pixels == GRAY).all()


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian], ids=IDS)
def test_a_header_of_two_thousand_elements_is_read(syntax: str) -> None:
    items = [Dataset() for _ in range(1_000)]
    for item in items:
        item.CodeValue = "1"
        item.is_undefined_length_sequence_item = True
    sequence = Sequence(items)
    sequence.is_undefined_length = True
    assert (decode(dicom(GRAY, syntax, RequestAttributesSequence=sequence), LIMITS).pixels == GRAY).all()


def test_small_nested_sequences_and_their_elements_are_bounded() -> None:
    inner = Dataset()
    inner.CodeValue = "1"
    for _ in range(30):
        outer = Dataset()
        outer.RequestAttributesSequence = Sequence([inner])
        inner = outer
    found = decode(dicom(GRAY, RequestAttributesSequence=Sequence([inner])), LIMITS)
    depth, level = 0, found.source
    while level is not None and "RequestAttributesSequence" in level:
        depth, level = depth + 1, level.RequestAttributesSequence[0]
    assert depth == 8


def test_values_that_break_their_rules_are_no_reason_to_refuse(capfd: pytest.CaptureFixture[str]) -> None:
    elements = {"PatientBirthDate": "19000101", "StudyTime": "120000", "StudyID": "17"}
    data = dicom(GRAY, **elements)
    for good, bad in ((b"19000101", b"DOE^JANE"), (b"120000", b"DOE!!!"), (b"4711-0815", b"\xff\xfe\xfd\xfc-0815")):
        assert good in data
        data = data.replace(good, bad)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", append=True)
        assert (decode(data, LIMITS).pixels == GRAY).all()
    told = capfd.readouterr()
    assert "DOE" not in told.out + told.err + "".join(str(warning.message) for warning in caught)
