"""TIFF seeds: through Pillow, and written entry by entry where Pillow writes no such file (tiles, strips, planes)."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.samples import oriented, save, tiff

Order = Literal["<", ">"]
Samples = NDArray[Any]
_SHORT, _LONG = 3, 4
_DEFLATE = 8
_TILE = 32


def write(pieces: Sequence[bytes], tags: Mapping[int, Sequence[int]], order: Order = "<", tiled: bool = False) -> bytes:
    """A classic TIFF of one page.

    Args:
        pieces: its strips or tiles, as they are to lie in the file.
        tags: all entries but the pieces' places and lengths.
        order: little-endian or big-endian.
        tiled: whether the pieces are tiles.
    """
    file = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    places = [_append(file, piece) for piece in pieces]
    lengths = [len(piece) for piece in pieces]
    found: dict[int, Sequence[int]] = {**tags, 324 if tiled else 273: places, 325 if tiled else 279: lengths}
    entries = [_entry(file, order, tag, values) for tag, values in sorted(found.items())]
    start = _append(file, struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4))
    file[4:8] = struct.pack(order + "I", start)
    return bytes(file)


def _append(file: bytearray, data: bytes) -> int:
    """Where ``data`` begins, on an even byte as the format asks."""
    start = len(file)
    file += data + bytes(len(data) % 2)
    return start


def _entry(file: bytearray, order: Order, tag: int, values: Sequence[int]) -> bytes:
    kind, letter = (_SHORT, "H") if max(values) < 65536 else (_LONG, "I")
    packed = struct.pack(f"{order}{len(values)}{letter}", *values)
    if len(packed) > 4:
        packed = struct.pack(order + "I", _append(file, packed))
    return struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")


def _described(samples: Samples, photometric: int, sample_format: int, compression: int) -> dict[int, Sequence[int]]:
    """The entries that every file of ``samples`` [H, W] or [H, W, C] has."""
    channels = samples.shape[2] if samples.ndim == 3 else 1
    return {
        256: [samples.shape[1]],
        257: [samples.shape[0]],
        258: [samples.itemsize * 8] * channels,
        259: [compression],
        262: [photometric],
        277: [channels],
        339: [sample_format] * channels,
    }


def _packed(samples: Samples, order: Order, compression: int) -> bytes:
    raw = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(order))).tobytes()
    return zlib.compress(raw) if compression == _DEFLATE else raw


def stripped(samples: Samples, rows: int, photometric: int = 1, order: Order = "<", compression: int = 1) -> bytes:
    """Strips of ``rows`` rows each."""
    pieces = [_packed(samples[at : at + rows], order, compression) for at in range(0, len(samples), rows)]
    return write(pieces, {**_described(samples, photometric, 1, compression), 278: [rows]}, order)


def planar(samples: Samples, rows: int) -> bytes:
    """Each channel of ``samples`` [H, W, C] in strips of its own."""
    planes = [samples[..., channel] for channel in range(samples.shape[2])]
    pieces = [_packed(plane[at : at + rows], "<", 1) for plane in planes for at in range(0, len(plane), rows)]
    return write(pieces, {**_described(samples, 2, 1, 1), 278: [rows], 284: [2]})


def tiled(
    samples: Samples, photometric: int = 1, sample_format: int = 1, order: Order = "<", compression: int = 1
) -> bytes:
    """Square tiles, those at the edges filled up with zeros."""
    height, width = (-(-side // _TILE) * _TILE for side in samples.shape[:2])
    full = np.zeros((height, width, *samples.shape[2:]), samples.dtype)
    full[: samples.shape[0], : samples.shape[1]] = samples
    pieces = [
        _packed(full[top : top + _TILE, left : left + _TILE], order, compression)
        for top in range(0, height, _TILE)
        for left in range(0, width, _TILE)
    ]
    tags = {**_described(samples, photometric, sample_format, compression), 322: [_TILE], 323: [_TILE]}
    return write(pieces, tags, order, tiled=True)


def _twelve_bits(gray: NDArray[np.uint8]) -> bytes:
    """Two samples in three bytes."""
    deep = gray.astype(np.uint32) * 16
    pairs = (deep[:, 0::2] << 12) | deep[:, 1::2]
    packed = np.stack([pairs >> 16, (pairs >> 8) & 255, pairs & 255], axis=-1).astype(np.uint8)
    return write([packed.tobytes()], {**_described(gray, 1, 1, 1), 258: [12], 278: [len(gray)]})


def tiff_seeds(gray: NDArray[np.uint8]) -> dict[str, bytes]:
    """``gray`` uint8 [H, W], W even, stored in every way that the service reads, by name."""
    image, rgb = Image.fromarray(gray), np.stack([gray] * 3, axis=-1)
    deep, colour = gray.astype(np.uint16) * 257, Image.fromarray(rgb)
    made: dict[str, bytes] = {
        "strips": stripped(gray, 16),
        "strips big-endian deep": stripped(deep, 7, order=">"),
        "strips deflate": stripped(gray, 24, compression=_DEFLATE),
        "strips colour deep": stripped(rgb.astype(np.uint16) * 257, 20, 2),
        "strips white is 0": stripped(gray, 33, 0),
        "planes": planar(rgb, 40),
        "tiles": tiled(gray),
        "tiles deep deflate": tiled(deep, compression=_DEFLATE),
        "tiles float": tiled(gray.astype(np.float32) / 255, sample_format=3),
        "tiles colour big-endian": tiled(rgb, 2, order=">"),
        "12 bit": _twelve_bits(gray),
        "16 bit signed": tiff((deep.astype(np.int32) - 32768).astype(np.int16), 1, 2),
        "32 bit": tiff(gray.astype(np.uint32) * 16_843_009, 1),
        "32 bit signed": tiff(gray.astype(np.int32) * 8_000_000 - 900_000_000, 1, 2, ">"),
        "float": tiff(gray.astype(np.float32), 1, 3),
        "float big-endian negative": tiff(gray.astype(np.float32) - 77, 0, 3, ">"),
        "lzw": save(image, "TIFF", compression="tiff_lzw", strip_size=2000),
        "lzw predictor": save(image, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
        "lzw deep": save(deep, "TIFF", compression="tiff_lzw"),
        "deflate colour": save(colour, "TIFF", compression="tiff_adobe_deflate"),
        "packbits": save(image, "TIFF", compression="packbits"),
        "jpeg": save(image, "TIFF", compression="jpeg"),
        "jpeg YCbCr": save(colour.convert("YCbCr"), "TIFF", compression="jpeg"),
        "group 3": save(Image.fromarray(gray > 99), "TIFF", compression="group3"),
        "group 4": save(Image.fromarray(gray > 99), "TIFF", compression="group4"),
        "zstd": save(image, "TIFF", compression="zstd"),
        "lzma": save(image, "TIFF", compression="lzma"),
        "one bit": save(Image.fromarray(gray > 99), "TIFF"),
        "palette": save(image.convert("P"), "TIFF"),
        "RGBA": save(colour.convert("RGBA"), "TIFF"),
        "LA": save(image.convert("LA"), "TIFF"),
        "CMYK": save(colour.convert("CMYK"), "TIFF"),
        "YCbCr": save(colour.convert("YCbCr"), "TIFF"),
        "big": save(image, "TIFF", big_tiff=True),
        "big lzw": save(image, "TIFF", big_tiff=True, compression="tiff_lzw"),
        "turned": save(image, "TIFF", exif=oriented(6)),
    }
    return {f"TIFF {name}": data for name, data in made.items()}
