"""Uploads that are small to send and expensive to read."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from pydicom import uid
from pydicom.encaps import encapsulate

from benchmarks.robustness.structures import join_jpeg, split_jpeg
from tests.support.dicoms import deflated, dicom
from tests.support.samples import bmp, chest, chunk, gray_palette, png, png_file, save, tiff

_MEBIBYTE: Final = bytes(1 << 20)
LARGEST: Final = 7000
"""Pixels a side, of which the square is just under the default limit."""


@cache
def zeros(mebibytes: int) -> bytes:
    """So many, deflated."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(_MEBIBYTE) for _ in range(mebibytes)) + packer.flush()


def scans(side: int, count: int) -> bytes:
    """A progressive JPEG of ``side`` x ``side`` pixels whose last scan comes again and again, ``count`` in all."""
    first, *others, last = split_jpeg(save(np.full((side, side), 90, np.uint8), "JPEG", progressive=True))
    present = sum(bool(coded) for _, _, coded in (first, *others, last))
    return join_jpeg([first, *others, *[last] * (1 + count - present)]) + b"\xff\xd9"


def large_deep_colour() -> bytes:
    """The most expensive PNG that keeps all limits: 392 MB of pixels in 400 kB."""
    packed = zeros(-(-LARGEST * (LARGEST * 8 + 1) // 2**20))
    return png_file(LARGEST, LARGEST, 16, 6, packed)


def large_dicom(syntax: str) -> bytes:
    """The most expensive DICOM object of a transfer syntax: of 16 bits, and nothing in it."""
    samples = np.zeros((LARGEST, LARGEST), np.uint16)
    samples[0, 0] = 1
    return dicom(samples, syntax)


def _sized_jpeg(side: int) -> bytes:
    """A gray JPEG that says it has ``side`` x ``side`` pixels."""
    data = bytearray(save(chest(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def _segmented_jpeg(count: int) -> bytes:
    data = save(chest(), "JPEG")
    return data[:2] + b"\xff\xe4\0\2" * count + data[2:]


def _counted_tiff(count: int) -> bytes:
    """A TIFF whose entry of strip places says that there are ``count``."""
    data = bytearray(tiff(chest(), 1))
    entry = data.rindex(struct.pack("<HH", 273, 3))
    data[entry + 4 : entry + 8] = struct.pack("<I", count)
    return bytes(data)


def _deflated_tiff(packed: bytes) -> bytes:
    """A TIFF of 96 x 80 pixels in one deflated strip."""
    file = bytearray(tiff(chest(), 1, t259=8, t273=8, t279=len(packed) + 65_536))
    at = len(file) + len(file) % 2
    for tag, value in ((273, at), (279, len(packed))):
        entry = file.rindex(struct.pack("<H", tag) + (b"\3\0" if tag == 273 else b"\4\0"))
        file[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(file).ljust(at, b"\0") + packed


def _circular_tiff() -> bytes:
    """A TIFF whose directory is followed by itself."""
    data = bytearray(tiff(chest(), 1))
    data[-4:] = data[4:8]
    return bytes(data)


_GRAY: Final = chest()
BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "PNG that inflates to 256 MiB": lambda: png_file(100, 100, 8, 0, zeros(256)),
    "PNG of huge dimensions": lambda: png_file(60_000, 60_000, 16, 6, zeros(1)),
    "PNG of the largest dimensions": lambda: png_file(2**31 - 1, 2**31 - 1, 8, 0, zeros(1)),
    "PNG of texts that inflate": lambda: png(_GRAY, 8, 0, *[chunk(b"zTXt", b"k\0\0" + zeros(64))] * 40),
    "PNG of tiny chunks": lambda: png(_GRAY, 8, 0, chunk(b"abCd", b"") * 90_000),
    "JPEG of huge dimensions": lambda: _sized_jpeg(65_500),
    "JPEG of tiny segments": lambda: _segmented_jpeg(200_000),
    "TIFF of huge dimensions": lambda: tiff(_GRAY, 1, t256=60_000, t257=60_000),
    "TIFF of a huge strip": lambda: tiff(_GRAY, 1, t278=2**32 - 1, t279=2**32 - 1),
    "TIFF of huge counts": lambda: _counted_tiff(2**31),
    "TIFF of huge tiles": lambda: tiff(_GRAY, 1, t322=1 << 20, t323=1 << 20, t324=8, t325=_GRAY.size, t259=8),
    "TIFF whose strip inflates": lambda: _deflated_tiff(zeros(256)),
    "TIFF that goes in circles": _circular_tiff,
    "BMP of huge dimensions": lambda: bmp(0, 8, b"", gray_palette(), 60_000, 60_000),
    "BMP of line ends": lambda: bmp(1, 8, b"\0\0" * 2_000_000, gray_palette(), 96, 80),
    "DICOM that inflates": lambda: deflated(dicom(_GRAY, uid.DeflatedExplicitVRLittleEndian), bytes(256 << 20)),
    "DICOM of huge dimensions": lambda: dicom(_GRAY, Rows=65535, Columns=65535),
    "DICOM of a huge codestream": lambda: dicom(
        _GRAY, uid.JPEGBaseline8Bit, pixel_data=encapsulate([_sized_jpeg(65_500)]), Rows=80, Columns=96
    ),
}
"""What makes each file, by name. Reading it ends at its header, or costs no more than the picture it claims to be."""
TOO_LARGE: Final = frozenset(
    {
        "PNG of huge dimensions",
        "PNG of the largest dimensions",
        "JPEG of huge dimensions",
        "TIFF of huge dimensions",
        "TIFF of huge tiles",
        "BMP of huge dimensions",
        "DICOM of huge dimensions",
    }
)
"""The names of those that are refused for their dimensions."""
