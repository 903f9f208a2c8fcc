"""Every way of storing a radiograph reads as the same radiograph in 8 bits."""

import hashlib
import io
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from app.errors import EmptyFile
from app.intake import Limits, decode
from tests.support.samples import bmp, bmp_rle8, chest, chunk, gray_palette, oriented, png, save, tiff

GRAY = chest()
IMAGE = Image.fromarray(GRAY)
LIMITS = Limits()
RGB = np.stack([GRAY] * 3, axis=-1)
OPAQUE = np.full_like(GRAY, 255)
DEEP = GRAY.astype(np.uint16) * 257
TWELVE = np.rint(GRAY * (4095 / 255)).astype(np.uint16)


def pixels(data: bytes) -> NDArray[np.uint8]:
    """The decoded pixels."""
    return decode(data, LIMITS).pixels


def palette_image(order: NDArray[np.uint8]) -> Image.Image:
    """GRAY as indices into a shuffled gray palette, so that an index is no gray value."""
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[GRAY]).convert("L")
    image.putpalette([int(value) for level in order for value in [level] * 3])
    return image


SHUFFLED = np.random.default_rng(1).permutation(256).astype(np.uint8)
PALETTE = palette_image(SHUFFLED)
LA = Image.merge("LA", (IMAGE, Image.fromarray(OPAQUE)))
RGBA = Image.merge("RGBA", (IMAGE, IMAGE, IMAGE, Image.fromarray(OPAQUE)))
OPAQUE16 = np.full_like(DEEP, 65535)

EXACT: dict[str, bytes] = {
    "png gray": save(IMAGE, "PNG"),
    "png colour": save(RGB, "PNG"),
    "png palette": save(PALETTE, "PNG"),
    "png opaque LA": save(LA, "PNG"),
    "png opaque RGBA": save(RGBA, "PNG"),
    "png 16 bit": save(DEEP, "PNG"),
    "png 12 bit in 16": save(TWELVE, "PNG"),
    "png 16 bit colour": png(np.stack([DEEP] * 3, axis=-1).astype(">u2"), 16, 2),
    "png 12 bit colour in 16": png(np.stack([TWELVE] * 3, axis=-1).astype(">u2"), 16, 2),
    "png 16 bit LA": png(np.stack([DEEP, OPAQUE16], axis=-1).astype(">u2"), 16, 4),
    "png 16 bit RGBA": png(np.stack([DEEP] * 3 + [OPAQUE16], axis=-1).astype(">u2"), 16, 6),
    "png with text and profile": png(GRAY, 8, 0, chunk(b"tEXt", b"k\0v"), chunk(b"iCCP", b"p\0\0junk")),
    "tiff gray": save(IMAGE, "TIFF"),
    "tiff big": save(IMAGE, "TIFF", big_tiff=True),
    "tiff colour": save(RGB, "TIFF"),
    "tiff palette": save(PALETTE, "TIFF"),
    "tiff RGBA": save(RGBA, "TIFF"),
    "tiff CMYK": save(IMAGE.convert("CMYK"), "TIFF"),
    "tiff 16 bit": save(DEEP, "TIFF"),
    "tiff 16 bit deflate": save(DEEP, "TIFF", compression="tiff_adobe_deflate"),
    "tiff 16 bit big-endian": tiff(DEEP, 1, order=">"),
    "tiff 12 bit in 16": tiff(TWELVE, 1),
    "tiff 16 bit signed": tiff((DEEP.astype(np.int32) - 32768).astype(np.int16), 1, 2),
    "tiff 32 bit": tiff(GRAY.astype(np.int32) * 8_000_000 - 900_000_000, 1, 2),
    "tiff 32 bit unsigned": tiff(GRAY.astype(np.uint32) * 16_843_009, 1),
    "tiff float": tiff(GRAY.astype(np.float32) / 255 - 0.25, 1, 3),
    "tiff float big-endian": tiff(GRAY.astype(np.float32), 1, 3, ">"),
    "tiff white is 0": tiff(255 - GRAY, 0),
    "tiff white is 0, 16 bit": tiff(65535 - DEEP, 0),
    "tiff white is 0, float": tiff(1 - GRAY.astype(np.float32), 0, 3),
    "tiff lzw": save(IMAGE, "TIFF", compression="tiff_lzw"),
    "tiff colour lzw": save(RGB, "TIFF", compression="tiff_lzw"),
    "tiff deflate": save(IMAGE, "TIFF", compression="tiff_adobe_deflate"),
    "tiff packbits": save(IMAGE, "TIFF", compression="packbits"),
    "tiff white is 0, lzw": save(IMAGE, "TIFF", compression="tiff_lzw", tiffinfo={262: 0}),
    "bmp gray": save(IMAGE, "BMP"),
    "bmp colour": save(RGB, "BMP"),
    "bmp palette": save(PALETTE, "BMP"),
    "bmp 32 bit": save(RGBA, "BMP"),
    "bmp 32 bit, unset alpha": bmp(0, 32, np.dstack([RGB, GRAY * 0])[::-1].tobytes(), b"", *IMAGE.size),
    "bmp run-length": bmp_rle8(GRAY),
}


@pytest.mark.parametrize("name", EXACT)
def test_stored_losslessly_it_reads_exactly(name: str) -> None:
    assert np.abs(pixels(EXACT[name]).astype(int) - GRAY).max() == 0


CLOSE: dict[str, tuple[bytes, int]] = {
    "gray": (save(IMAGE, "JPEG", quality=100), 2),
    "colour": (save(RGB, "JPEG", quality=100), 2),
    "colour stored as RGB": (save(RGB, "JPEG", quality=100, keep_rgb=True), 2),
    "progressive": (save(IMAGE, "JPEG", quality=100, progressive=True), 2),
    "CMYK": (save(IMAGE.convert("CMYK"), "JPEG", quality=100), 3),
    "tiff jpeg": (save(IMAGE, "TIFF", compression="jpeg", quality=100), 3),
    "tiff jpeg YCbCr": (
        save(Image.fromarray(RGB).convert("YCbCr"), "TIFF", compression="jpeg", quality=100),
        3,
    ),
    "tiff YCbCr": (save(Image.fromarray(RGB).convert("YCbCr"), "TIFF"), 1),
    "tiff float of another range": (tiff((GRAY / 3).astype(np.float32), 1, 3), 1),
}


@pytest.mark.parametrize("name", CLOSE)
def test_stored_with_loss_it_reads_closely(name: str) -> None:
    data, tolerance = CLOSE[name]
    assert np.abs(pixels(data).astype(int) - GRAY).max() <= tolerance


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_a_pixel(bits: int) -> None:
    levels = (1 << bits) - 1
    few = (GRAY >> (8 - bits)).astype(np.uint8)
    unpacked = np.unpackbits(few[..., None], axis=-1)[..., -bits:].reshape(len(GRAY), -1)
    data = png(np.packbits(unpacked, axis=1), bits, 0, width=GRAY.shape[1])
    assert (pixels(data) == few * (255 // levels)).all()


@pytest.mark.parametrize("options", [{}, {"compression": "group4"}, {"tiffinfo": {262: 0}}])
def test_one_bit_tiff(options: dict[str, Any]) -> None:
    bits = GRAY > 128
    assert (pixels(save(Image.fromarray(bits), "TIFF", **options)) == bits * np.uint8(255)).all()


def test_colour_becomes_luma() -> None:
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:, :20], colours[:, 20:40], colours[:, 40:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert pixels(save(colours, "PNG"))[0, [0, 25, 50]].tolist() == [76, 150, 29]


@pytest.mark.parametrize("deep", [False, True])
def test_transparency_lies_over_black(deep: bool) -> None:
    alpha = np.full_like(GRAY, 255)
    alpha[:, :48] = 0
    half = np.where(alpha > 0, GRAY, 0)
    layers = np.stack([GRAY, GRAY, GRAY, alpha], axis=-1)
    data = png((layers.astype(np.uint16) * 257).astype(">u2"), 16, 6) if deep else save(layers, "PNG")
    assert (pixels(data) == half).all()


def test_a_transparent_palette_entry_is_black() -> None:
    hole = GRAY == 120
    data = save(PALETTE, "PNG", transparency=int(np.argsort(SHUFFLED)[120]))
    assert hole.any() and (pixels(data) == np.where(hole, 0, GRAY)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "TIFF lzw", "PNG 16 bit", "TIFF 16 bit colour"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    data = _stored(kind, oriented(orientation))
    upright = _turned(orientation)
    assert pixels(data).shape == upright.shape
    assert np.abs(pixels(data).astype(int) - upright).max() <= 2


def _stored(kind: str, exif: Image.Exif) -> bytes:
    """GRAY with an EXIF block."""
    if kind == "TIFF 16 bit colour":
        return _deep_colour_tiff(exif[0x112])
    format, _, variant = kind.partition(" ")
    options: dict[str, Any] = {"quality": 100} if kind == "JPEG" else {}
    if variant == "lzw":
        options["compression"] = "tiff_lzw"
    return save(DEEP if variant == "16 bit" else GRAY, format, exif=exif, **options)


def _deep_colour_tiff(orientation: int) -> bytes:
    """Three channels of 16 bits: as gray of three times the width, retagged."""
    wide = np.repeat(DEEP, 3, axis=1)
    return tiff(wide, 2, t256=DEEP.shape[1], t277=3, t274=orientation)


def _turned(orientation: int) -> NDArray[np.uint8]:
    """GRAY as Pillow turns it."""
    file = io.BytesIO(save(IMAGE, "PNG", exif=oriented(orientation)))
    return np.asarray(ImageOps.exif_transpose(Image.open(file)))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_exif_block_turns_nothing() -> None:
    data = save(IMAGE, "JPEG", quality=100, exif=b"Exif\0\0MM\0*\xff\xff\xff\xffjunk")
    assert np.abs(pixels(data).astype(int) - GRAY).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_picture_of_one_value_is_black(dtype: type[Any]) -> None:
    data = tiff(np.full((64, 64), 700, dtype), 1, 3 if dtype is np.float32 else 1)
    assert not pixels(data).any()


def test_a_deep_picture_spreads_over_its_own_range() -> None:
    narrow = (GRAY.astype(np.uint16) * 4) + 1000
    assert (pixels(tiff(narrow, 1)) == GRAY).all()


def test_the_first_frame_of_several_is_read() -> None:
    other = Image.fromarray(255 - GRAY)
    for data in (
        save(IMAGE, "PNG", save_all=True, append_images=[other]),
        save(IMAGE, "MPO", save_all=True, append_images=[other], quality=100),
    ):
        assert np.abs(pixels(data).astype(int) - GRAY).max() <= 2


def test_what_a_radiograph_tells() -> None:
    data = save(IMAGE, "JPEG")
    for upload in (data, bytearray(data), memoryview(data)):
        radiograph = decode(upload, LIMITS)
        assert (radiograph.format, radiograph.width, radiograph.height) == ("JPEG", 96, 80)
        assert radiograph.sha256 == hashlib.sha256(data).hexdigest()
        assert radiograph.pixels.dtype == np.uint8 and radiograph.pixels.flags.c_contiguous


def test_no_bytes_are_no_radiograph() -> None:
    with pytest.raises(EmptyFile):
        decode(b"", LIMITS)


def test_threads_decode_at_once() -> None:
    wrong: list[str] = []

    def work() -> None:
        wrong.extend(name for name, data in EXACT.items() if (pixels(data) != GRAY).any())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_run_length_bmp_of_four_bits() -> None:
    few = GRAY >> 4
    lines = [b"".join(b"\1" + bytes([value << 4]) for value in row) + b"\0\0" for row in few[::-1].tolist()]
    data = bmp(2, 4, b"".join(lines) + b"\0\1", gray_palette()[: 16 * 4], *IMAGE.size)
    assert (pixels(data) == few).all()
