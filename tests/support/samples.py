"""Test pictures made by code, as files in every way of storing them."""

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 80, 96
SHORT, LONG = 3, 4
PNG = b"\x89PNG\r\n\x1a\n"


def chest() -> NDArray[np.uint8]:
    """uint8 [80, 96]: a gradient with two dark fields and two corner marks, all of 0..255, of no symmetry.

    The dark mark is too large for a label, the bright one too near to the rest: both count for the gray range.
    """
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = 60 + rows + columns
    for centre, depth in ((28, 60), (66, 50)):
        picture[((columns - centre) / 14) ** 2 + ((rows - 42) / 26) ** 2 < 1] -= depth
    picture[:12, :20], picture[-4:, -6:] = 0, 255
    gray: NDArray[np.uint8] = picture.clip(0, 255).astype(np.uint8)
    return gray


def save(picture: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    """A file by Pillow."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def oriented(orientation: int) -> Image.Exif:
    """An EXIF block that holds an orientation."""
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: NDArray[Any], bits: int, colour: int, *extra: bytes, width: int = 0) -> bytes:
    """A PNG of ready-packed big-endian rows [H, ...]; ``extra`` chunks come before the pixels."""
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return png_file(width or rows.shape[1], len(rows), bits, colour, pixels, *extra)


def png_file(
    width: int, height: int, bits: int, colour: int, pixels: bytes, *extra: bytes, interlaced: bool = False
) -> bytes:
    """A PNG of compressed ``pixels``, whatever its header says; ``extra`` chunks come before them."""
    size = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = (chunk(b"IHDR", size), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return PNG + b"".join(parts)


def tiff(
    samples: NDArray[Any],
    photometric: int,
    sample_format: int = 1,
    order: Literal["<", ">"] = "<",
    **tags: int,
) -> bytes:
    """An uncompressed one-channel TIFF of ``samples`` [H, W]; ``tags`` (t262=0) replace or add entries."""
    data = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(order)))
    height, width = samples.shape
    entries = {256: width, 257: height, 258: samples.itemsize * 8, 259: 1, 262: photometric, 273: 8, 277: 1}
    entries |= {278: height, 279: data.nbytes, 339: sample_format}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    packed = [_entry(order, tag, value) for tag, value in sorted(entries.items())]
    directory = struct.pack(order + "H", len(packed)) + b"".join(packed) + b"\0\0\0\0"
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8 + data.nbytes) + data.tobytes() + directory


def _entry(order: str, tag: int, value: int) -> bytes:
    """A directory entry of one value, SHORT where it fits."""
    if value < 65536:
        return struct.pack(order + "HHIHH", tag, SHORT, 1, value, 0)
    return struct.pack(order + "HHII", tag, LONG, 1, value)


def bmp_rle8(picture: NDArray[np.uint8]) -> bytes:
    """A run-length BMP with a gray palette, each pixel a run."""
    lines = [b"".join(b"\1" + bytes([value]) for value in row.tolist()) + b"\0\0" for row in picture[::-1]]
    return bmp(1, 8, b"".join(lines) + b"\0\1", gray_palette(), picture.shape[1], picture.shape[0])


def bmp(compression: int, bits: int, pixels: bytes, palette: bytes, width: int, height: int) -> bytes:
    """A BMP of ready-packed pixels."""
    start = 54 + len(palette)
    header = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    sizes = (40, width, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    return header + struct.pack("<IiiHHIIiiII", *sizes) + palette + pixels


def gray_palette() -> bytes:
    """256 BMP palette entries."""
    return b"".join(bytes([value, value, value, 0]) for value in range(256))
