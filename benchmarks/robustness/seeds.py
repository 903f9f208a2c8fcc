"""The phantom radiograph in every way of storing it that the service reads: what the fuzzer starts from."""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.robustness.dicoms import dicom_seeds
from benchmarks.robustness.tiffs import tiff_seeds
from benchmarks.uploads import HAZE
from models.phantom import draw_phantom
from tests.support.samples import HEIGHT, WIDTH, bmp, bmp_rle8, chunk, gray_palette, oriented, png, png_file, save

Gray = NDArray[np.uint8]
_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and the steps of both, of each pass."""


def interlaced(pixels: NDArray[Any], bits: int, colour: int) -> bytes:
    """An Adam7 PNG of big-endian ``pixels`` [H, W] or [H, W, C] of whole bytes."""
    passes = (pixels[top::down, left::right] for left, top, right, down in _ADAM7)
    raw = b"".join(b"\0" + row.tobytes() for rows in passes for row in rows)
    return png_file(pixels.shape[1], pixels.shape[0], bits, colour, zlib.compress(raw), interlaced=True)


def _in_pieces(data: bytes, size: int) -> bytes:
    """A PNG whose pixel data lie in chunks of ``size`` bytes."""
    start = data.index(b"IDAT") - 4
    (length,) = struct.unpack(">I", data[start : start + 4])
    pixels = data[start + 8 : start + 8 + length]
    pieces = [chunk(b"IDAT", pixels[at : at + size]) for at in range(0, length, size)]
    return data[:start] + b"".join(pieces) + data[start + 12 + length :]


def png_seeds(gray: Gray) -> dict[str, bytes]:
    """By name."""
    image, rgb, deep = Image.fromarray(gray), np.stack([gray] * 3, axis=-1), (gray.astype(np.uint16) * 257)
    big, opaque = deep.astype(">u2"), np.full(gray.shape, 65535, ">u2")
    few = {bits: np.packbits(np.unpackbits(gray[..., None], axis=-1)[..., :bits]) for bits in (1, 2, 4)}
    rgba = Image.merge("RGBA", (image, image, image, image.point(lambda value: 255 - value // 2)))
    return {
        "PNG gray": save(image, "PNG"),
        **{f"PNG {bits} bit": png(row.reshape(HEIGHT, -1), bits, 0, width=WIDTH) for bits, row in few.items()},
        "PNG deep": save(deep, "PNG"),
        "PNG LA": save(image.convert("LA"), "PNG"),
        "PNG deep LA": png(np.stack([big, opaque], axis=-1), 16, 4),
        "PNG colour": save(rgb, "PNG"),
        "PNG deep colour": png(np.stack([big] * 3, axis=-1), 16, 2),
        "PNG RGBA": save(rgba, "PNG"),
        "PNG deep RGBA": png(np.stack([big, big, big, opaque], axis=-1), 16, 6),
        "PNG palette": save(image.convert("P"), "PNG", transparency=3),
        "PNG palette 4 bit": save(image.quantize(16), "PNG", bits=4),
        "PNG gray, one value transparent": save(image, "PNG", transparency=120),
        "PNG interlaced": interlaced(gray, 8, 0),
        "PNG interlaced deep": interlaced(big, 16, 0),
        "PNG interlaced RGBA": interlaced(np.asarray(rgba), 8, 6),
        "PNG in pieces": _in_pieces(save(image, "PNG"), 100),
        "PNG animated": save(image, "PNG", save_all=True, append_images=[image.point(lambda value: 255 - value)]),
        "PNG turned": save(image, "PNG", exif=oriented(5)),
        "PNG with text": png(gray, 8, 0, chunk(b"tEXt", b"k\0v"), chunk(b"iCCP", b"p\0\0" + zlib.compress(b"junk"))),
    }


def jpeg_seeds(gray: Gray) -> dict[str, bytes]:
    """By name."""
    image, colour = Image.fromarray(gray), Image.fromarray(np.stack([gray, gray // 2, 255 - gray], axis=-1))
    return {
        "JPEG gray": save(image, "JPEG"),
        "JPEG colour": save(colour, "JPEG"),
        "JPEG colour 4:4:4": save(colour, "JPEG", subsampling=0),
        "JPEG stored as RGB": save(colour, "JPEG", keep_rgb=True),
        "JPEG progressive": save(image, "JPEG", progressive=True),
        "JPEG progressive colour": save(colour, "JPEG", progressive=True),
        "JPEG CMYK": save(colour.convert("CMYK"), "JPEG"),
        "JPEG CMYK progressive": save(colour.convert("CMYK"), "JPEG", progressive=True),
        "JPEG with restarts": save(colour, "JPEG", restart_marker_rows=1),
        "JPEG turned": save(image, "JPEG", exif=oriented(6)),
        "JPEG of several": save(image, "MPO", save_all=True, append_images=[colour.convert("L")]),
    }


def bmp_seeds(gray: Gray) -> dict[str, bytes]:
    """By name."""
    image, rgb = Image.fromarray(gray), np.stack([gray] * 3, axis=-1)
    bottom_up = gray[::-1].astype(np.uint16)
    five = (bottom_up >> 3) << 10 | (bottom_up >> 3) << 5 | bottom_up >> 3
    six = (bottom_up >> 3) << 11 | (bottom_up >> 2) << 5 | bottom_up >> 3
    four = [b"".join(b"\1" + bytes([value & 240]) for value in row) + b"\0\0" for row in gray[::-1].tolist()]
    sixteen = b"".join(bytes([17 * value] * 3 + [0]) for value in range(16))
    palette = b"".join(bytes([value] * 3) for value in range(256))
    core = struct.pack("<2sIHHIIHHHH", b"BM", 26 + 768 + gray.size, 0, 0, 26 + 768, 12, WIDTH, HEIGHT, 1, 8)
    return {
        "BMP gray": save(image, "BMP"),
        "BMP one bit": save(Image.fromarray(gray > 99), "BMP"),
        "BMP palette": save(image.convert("P"), "BMP"),
        "BMP colour": save(rgb, "BMP"),
        "BMP 32 bit": save(image.convert("RGBA"), "BMP"),
        "BMP top-down": bmp(0, 8, gray.tobytes(), gray_palette(), WIDTH, -HEIGHT),
        "BMP 16 bit": bmp(0, 16, five.astype("<u2").tobytes(), b"", WIDTH, HEIGHT),
        "BMP 16 bit by masks": bmp(3, 16, six.astype("<u2").tobytes(), _masks(0xF800, 0x7E0, 0x1F), WIDTH, HEIGHT),
        "BMP run-length": bmp_rle8(gray),
        "BMP run-length of four bits": bmp(2, 4, b"".join(four) + b"\0\1", sixteen, WIDTH, HEIGHT),
        "BMP core header": core + palette + gray[::-1].tobytes(),
        "BMP header of 124": _long_header(gray),
    }


def _masks(*masks: int) -> bytes:
    return struct.pack(f"<{len(masks)}I", *masks)


def _long_header(gray: Gray) -> bytes:
    """The newest header: 32 bits by masks, with a colour space."""
    pixels = np.dstack([gray, gray, gray, np.full_like(gray, 255)])[::-1].tobytes()
    head = struct.pack("<2sIHHI", b"BM", 138 + len(pixels), 0, 0, 138)
    sizes = struct.pack("<IiiHHIIiiII", 124, WIDTH, HEIGHT, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    return head + sizes + _masks(0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(64) + pixels


SOURCES: list[Callable[[Gray], Mapping[str, bytes]]] = [png_seeds, jpeg_seeds, tiff_seeds, bmp_seeds, dicom_seeds]
"""What makes the seeds; a new format adds its function here, and its edits to ``structures.EDITORS``."""


def seeds() -> dict[str, bytes]:
    """Every seed by name; its first word is its format."""
    gray = cv2.resize(draw_phantom(256, HAZE), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return {name: data for source in SOURCES for name, data in source(gray).items()}
