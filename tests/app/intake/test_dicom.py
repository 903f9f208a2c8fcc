"""Every way of storing a radiograph in DICOM reads as the same radiograph, and scores as its 8-bit PNG does."""

import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence

from app.errors import Problem
from app.intake import Limits, decode
from app.intake.dicom.decoders import decode_samples
from app.intake.dicom.parsing import parse
from app.intake.dicom.pixels import read_pixel_module
from app.settings import Settings
from app.startup import load_workflow
from models import quality
from models.phantom import draw_phantom
from models.workflow import Workflow
from tests.support.dicoms import ENCODERS, MAX_BITS, NATIVE, SYNTAXES, dicom, table, write
from tests.support.samples import chest

LIMITS = Limits()
GRAY = chest()
TWELVE = np.rint(GRAY * (4095 / 255)).astype(np.uint16)
DEEP = GRAY.astype(np.uint16) * 257
LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K}
TOLERANCE = 0.02
# The present weights move by 0.027 on the drawn phantom's lossy copy; those before stayed within TOLERANCE.
LOOSER = {"JPEG baseline": 0.03}


def pixels(data: bytes) -> NDArray[np.int64]:
    """The decoded pixels."""
    found = decode(data, LIMITS)
    assert found.format == "DICOM" and found.pixels.flags.c_contiguous
    return found.pixels.astype(np.int64)


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [(syntax, bits) for syntax in SYNTAXES for bits in (8, 12, 16) if bits <= MAX_BITS.get(syntax, 16)],
    ids=lambda value: uid.UID(value).keyword if isinstance(value, str) else value,
)
def test_every_transfer_syntax_is_the_same_picture(syntax: str, bits: int) -> None:
    samples = {8: GRAY, 12: TWELVE, 16: DEEP}[bits]
    found = pixels(dicom(samples, syntax, bits))
    assert np.abs(found - GRAY).max() <= (8 if syntax in LOSSY else 0)


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless],
)
def test_all_depths_with_and_without_sign(syntax: str, signed: bool, bits: int) -> None:
    samples = np.rint(GRAY * ((2**bits - 1) / 255)).astype(np.int32) - (2 ** (bits - 1) if signed else 0)
    stored = samples.astype(("i" if signed else "u") + ("1" if bits == 8 else "2"))
    assert (pixels(dicom(stored, syntax, bits)) == GRAY).all()


def test_bits_around_those_stored_are_left_out() -> None:
    noise = np.random.default_rng(3).integers(0, 16, GRAY.shape).astype(np.uint16)
    above = (noise << 12) | TWELVE
    assert (pixels(dicom(above, bits=12)) == GRAY).all()
    below = (TWELVE << 4) | noise
    assert (pixels(dicom(below, bits=12, HighBit=15)) == GRAY).all()


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless]
)
def test_more_bits_than_the_header_says_are_flagged(syntax: str) -> None:
    data = dicom(TWELVE, syntax, 12)
    assert decode(data, LIMITS).flags == ()
    # As it was written for 12 bits, 10 of which the header admits: values wrap.
    for name, value in ((0x0101, 10), (0x0102, 9)):
        head = b"\x28\0" + name.to_bytes(2, "little") + b"US\2\0"
        place = data.index(head) + len(head)
        data = data[:place] + value.to_bytes(2, "little") + data[place + 2 :]
    assert decode(data, LIMITS).flags == (quality.DAMAGED_HEADER,)


def test_a_sign_may_go_on_in_the_bits_that_are_not_stored() -> None:
    signed = TWELVE.astype(np.int16) - 2048
    for samples in (signed, signed & 0xFFF):
        found = decode(dicom(samples, bits=12), LIMITS)
        assert found.flags == () and (found.pixels == GRAY).all()
    for wrapped in (signed * 2, (signed & 0xFFF) | 0x1000):
        assert decode(dicom(wrapped, bits=12), LIMITS).flags == (quality.DAMAGED_HEADER,)


def test_big_endian_words_of_two_samples() -> None:
    swapped = GRAY.reshape(-1, 2)[:, ::-1].tobytes()
    data = dicom(GRAY, uid.ExplicitVRBigEndian, pixel_data=swapped)
    place = data.rindex(b"\x7f\xe0\x00\x10OB")
    assert (pixels(data[: place + 4] + b"OW" + data[place + 6 :]) == GRAY).all()


POLARITIES: dict[str, tuple[dict[str, Any], bool]] = {
    "MONOCHROME2": ({}, False),
    "IDENTITY": ({"PresentationLUTShape": "IDENTITY"}, False),
    "MONOCHROME1": ({"PhotometricInterpretation": "MONOCHROME1"}, True),
    "INVERSE": ({"PresentationLUTShape": "INVERSE"}, True),
    "both": ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
}


@pytest.mark.parametrize("name", POLARITIES)
def test_polarity_is_turned_once(name: str) -> None:
    elements, inverted = POLARITIES[name]
    assert (pixels(dicom(255 - GRAY if inverted else GRAY, **elements)) == GRAY).all()
    assert (pixels(dicom(4095 - TWELVE if inverted else TWELVE, bits=12, **elements)) == GRAY).all()


def test_padding_is_black_and_out_of_the_range() -> None:
    padded = (1000 + TWELVE // 2).astype(np.uint16)
    padded[:20], padded[20:30] = 4090, 4095
    inside = GRAY[30:].astype(int)
    expected = np.rint((inside - inside.min()) / (inside.max() - inside.min()) * 255)
    for elements in (
        {"PixelPaddingValue": 4090, "PixelPaddingRangeLimit": 4095},
        {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4090},
    ):
        for polarity, inverted in POLARITIES.values():
            found = pixels(dicom(padded, bits=12, **elements, **polarity))
            assert (found[:30] == 0).all()
            assert np.abs(found[30:] - (255 - expected if inverted else expected)).max() <= 1
    signed = padded.astype(np.int16)
    signed[:30] = -2000
    data = dicom(signed, PixelPaddingValue=-2000)
    # Its VR is often that of unsigned samples.
    for padding in (data, data.replace(b"\x28\0\x20\1SS", b"\x28\0\x20\1US")):
        assert (pixels(padding)[:30] == 0).all()
        assert np.abs(pixels(padding)[30:] - expected).max() <= 1


RAMP = np.arange(4096)
WAYS: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "12 bits": lambda gray: dicom(_of(gray, 12), bits=12),
    "16 bits": lambda gray: dicom(_of(gray, 16)),
    "JPEG extended of 12 bits": lambda gray: dicom(_of(gray, 12), uid.JPEGExtended12Bit, 12),
    "JPEG lossless": lambda gray: dicom(_of(gray, 16), uid.JPEGLossless),
    "JPEG 2000": lambda gray: dicom(_of(gray, 12), uid.JPEG2000, 12),
    "HTJ2K": lambda gray: dicom(_of(gray, 12), uid.HTJ2K, 12),
    "JPEG baseline": lambda gray: dicom(gray, uid.JPEGBaseline8Bit),
    "LINEAR": lambda gray: dicom(_of(gray, 12), bits=12, WindowCenter=2048, WindowWidth=4096),
    "LINEAR_EXACT, signed": lambda gray: dicom(
        (_of(gray, 16).astype(int) - 32768).astype(np.int16),
        WindowCenter=[0.0, 1.0],
        WindowWidth=[65535.0, 7.0],
        VOILUTFunction="LINEAR_EXACT",
    ),
    "MONOCHROME1": lambda gray: dicom(4095 - _of(gray, 12), bits=12, PhotometricInterpretation="MONOCHROME1"),
    "rescale downwards": lambda gray: dicom(4095 - _of(gray, 12), bits=12, RescaleSlope=-1, RescaleIntercept=4095),
    "tables": lambda gray: dicom(
        4095 - _of(gray, 12),
        bits=12,
        ModalityLUTSequence=table(RAMP[::-1] + 1000, 0, 16),
        VOILUTSequence=table(RAMP * 4, 1000, 14),
        WindowCenter=0,
        WindowWidth=1,
    ),
}


def _of(gray: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    """As many bits as a detector has."""
    return np.rint(gray * ((2**bits - 1) / 255)).astype(np.uint16)


@pytest.fixture(scope="module")
def workflow() -> Workflow:
    # In float32: another decoder's last bit must not be enlarged by rounding.
    return load_workflow(Settings(precision="float32"))


@pytest.mark.slow
def test_shares_are_those_of_the_png(workflow: Workflow) -> None:
    gray = draw_phantom(512, ("right_lower", "left_middle"))
    names = list(WAYS)
    found = [decode(WAYS[name](gray), LIMITS) for name in names]
    known, *others = workflow.analyse_batch([gray, *(radiograph.pixels for radiograph in found)])
    assert known.score is not None and known.score > 0
    for name, radiograph, analysis in zip(names, found, others, strict=True):
        assert radiograph.flags == (), name
        assert analysis.score == known.score, name
        assert np.abs(np.subtract(analysis.shares, known.shares)).max() < LOOSER.get(name, TOLERANCE), name


def test_the_sigmoid_window_keeps_the_order() -> None:
    found = pixels(dicom(TWELVE, bits=12, WindowCenter=2048, WindowWidth=2000, VOILUTFunction="SIGMOID"))
    expected = 255 / (1 + np.exp(-4 * (TWELVE.astype(float) - 2048) / 2000))
    assert (found == np.rint(expected)).all()


@pytest.mark.parametrize("syntax", NATIVE[:3], ids=lambda syntax: uid.UID(syntax).keyword)
def test_files_without_preamble(syntax: str) -> None:
    assert (pixels(dicom(TWELVE, syntax, 12, preamble=False)) == GRAY).all()


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.JPEGLSLossless])
def test_meta_information_without_preamble(syntax: str) -> None:
    assert (pixels(dicom(TWELVE, syntax, 12)[132:]) == GRAY).all()


def test_an_implicit_data_set_that_calls_itself_explicit() -> None:
    explicit, implicit = dicom(GRAY, preamble=True), dicom(GRAY, uid.ImplicitVRLittleEndian, preamble=False)
    start = 144 + int.from_bytes(explicit[140:144], "little")
    assert (pixels(explicit[:start] + implicit) == GRAY).all()


def test_a_gray_palette_and_a_coloured_one() -> None:
    order = np.random.default_rng(1).permutation(256)
    entries = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", (order * 257).astype("<u2").tobytes()))
    }
    indices = np.argsort(order).astype(np.uint8)[GRAY]
    assert (pixels(dicom(indices, PhotometricInterpretation="PALETTE COLOR", **entries)) == GRAY).all()
    entries["BluePaletteColorLookupTableData"] = bytes(512)
    with pytest.raises(Problem, match="colour") as caught:
        pixels(dicom(indices, PhotometricInterpretation="PALETTE COLOR", **entries))
    assert caught.value.code == "unsupported_dicom"


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("first", [-2048, 63488])
def test_a_table_from_a_negative_value_on(syntax: str, first: int) -> None:
    # 63488 has the same bits; without a sign it lies beyond all values.
    data = dicom(TWELVE, syntax, 12, RescaleSlope=1, RescaleIntercept=-2048, VOILUTSequence=table(RAMP * 16, first, 16))
    assert np.abs(pixels(data) - GRAY).max() <= 1


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("count", [32_768, 32_769, 65_535, 65_536])
def test_tables_of_up_to_all_entries(syntax: str, count: int) -> None:
    # 0 in the descriptor stands for 65,536.
    entries = np.minimum(np.arange(count), 4095)
    falling = (count - 1 - TWELVE.astype(np.int64)).astype(np.uint16)
    assert (pixels(dicom(falling, syntax, ModalityLUTSequence=table(entries[::-1] * 16, 0, 16))) == GRAY).all()
    assert (pixels(dicom(TWELVE, syntax, 12, VOILUTSequence=table(entries, 0, 12))) == GRAY).all()


def test_tables_of_eight_bits_packed_into_words() -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", np.arange(256)[::-1].astype(np.uint8).tobytes())
    assert (pixels(dicom(255 - GRAY, VOILUTSequence=Sequence([item]))) == GRAY).all()


PACKAGED = [
    *("JPEG-lossy.dcm", "JPGExtended.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
    *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm", "693_J2KI.dcm"),
    *("JPEG2000.dcm", "image_dfl.dcm", "CT_small.dcm"),
]


@pytest.mark.parametrize("name", PACKAGED)
def test_samples_are_those_that_pydicom_decodes(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    with open(path, "rb") as file:
        parsed = parse(file.read(), 1 << 24)
    module = read_pixel_module(parsed.dataset, Limits(min_side=8))
    samples, _ = decode_samples(parsed, module)
    expected = dcmread(path)
    if name in ("JPEG-lossy.dcm", "JPGExtended.dcm"):
        # The packages here that decode 12 bits of lossy JPEG are this one's own.
        assert samples.shape == (1024, 256) and 100 < samples.max() < 4096
        return
    mask = (1 << module.stored) - 1
    assert (samples.astype(int) & mask == expected.pixel_array.astype(int) & mask).all()


def test_threads_decode_side_by_side() -> None:
    files = [dicom(TWELVE, syntax, 12) for syntax in SYNTAXES if MAX_BITS.get(syntax, 16) >= 12]
    wrong: list[int] = []

    def work() -> None:
        wrong.extend(int(np.abs(pixels(data) - GRAY).max() > 8) for data in files * 3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 4 * 3 * len(files) and not any(wrong)


def test_the_source_has_the_header_and_no_pixels() -> None:
    icon = Dataset()
    icon.Rows = 2
    dataset = dcmread(io.BytesIO(dicom(GRAY, IconImageSequence=Sequence([icon]))))
    dataset.add_new(0x00090010, "LO", "MAKER")
    dataset.add_new(0x00091001, "LO", "private")
    dataset.add_new(0x60003000, "OW", bytes(1000))
    dataset.add_new(0x00104000, "LT", "x" * 100_000)
    found = decode(write(dataset), LIMITS)
    assert (found.pixels == GRAY).all() and found.source is not None
    source = found.source
    assert source.PatientName == "Doe^Jane" and source.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.2"
    assert source.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    expected = set(dataset.keys()) - {0x00880200, 0x00090010, 0x00091001, 0x60003000, 0x00104000, 0x7FE00010}
    assert set(source.keys()) == expected


def test_every_encoder_makes_what_its_syntax_says() -> None:
    assert {uid.UID(syntax).is_compressed for syntax in ENCODERS} == {True}
