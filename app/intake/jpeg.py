"""Decodes 8-bit JPEG, and raises an error where it is damaged.

libjpeg fills in damaged parts and warns. Pillow and imagecodecs use the same library but drop its warnings; simplejpeg
turns them into errors. libjpeg does not notice a wrong bit after which the code still decodes. Such a bit shifts the
brightness of all that follows it, and then the means of some blocks leave the range that pictures can have.
"""

import re
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

Bytes3D = NDArray[np.uint8]

_MARKER: Final = re.compile(rb"\xff([^\x00\xff])")
_END: Final = b"\xff\xd9"
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_SEQUENTIAL: Final = (0xC0, 0xC1)
_TABLES, _SCAN = 0xDB, 0xDA
_ODD_NOTES: Final = re.compile(rb"ICC_PROFILE\x00|JFIF\x00[^\x01]")
"""Matches colour profiles, which may be broken, and JFIF headers of another version."""
_MAX_SEGMENTS: Final = 10_000
_BLOCK: Final = 8
_MEAN_LIMIT: Final = 1024
"""How far the mean of a block can be from mid-gray in an 8-bit picture, in eighths of a gray level."""
_MEAN_SLACK: Final = 16
"""Tolerance for inexact encoders, in eighths of a gray level."""
_SEAM: Final = 3
"""A step between the mean grays of two rows, in gray levels.

Pictures with a mean out of range had steps of 4 or more; one intact radiograph in sixteen is over this limit.
"""


def decode_jpeg(data: bytes, shape: tuple[int, int, int]) -> Bytes3D:
    """The samples of a JPEG, decoded as they are stored.

    Args:
        data: begins with the start marker; what follows the end marker is ignored.
        shape: [H, W, C] as read from the header; C is 4 for CMYK, and 1 for gray or for the luma of other colour.

    Returns:
        uint8 [H, W, C].

    Raises:
        ValueError: damaged, cut off, or of another shape.
    """
    try:
        samples = _decode(data, shape)
    except ValueError:
        # libjpeg warns of harmless oddities too, and only its first warning is known.
        plain = _without_oddities(data)
        if plain == data:
            raise
        data, samples = plain, _decode(plain, shape)
    _check_means(data, samples)
    return samples


def _decode(data: bytes, shape: tuple[int, int, int]) -> Bytes3D:
    """uint8 [H, W, C]; raises ValueError for whatever libjpeg warns of."""
    samples = np.empty(shape, np.uint8)
    found = simplejpeg.decode_jpeg(data, "CMYK" if shape[2] == 4 else "GRAY", buffer=samples)
    if found.shape != shape:
        raise ValueError("the JPEG is of another size than its header says")
    return samples


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's content, up to the first scan's header; skips what libjpeg skips."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None:
            return
        marker, place = found[1][0], found.end()
        if marker in _ALONE:
            continue
        start, place = place + 2, place + int.from_bytes(data[place : place + 2], "big")
        yield marker, start, place
        if marker == _SCAN:
            return


def _without_oddities(data: bytes) -> bytes:
    """The same picture without the parts that libjpeg warns of although no decoder needs them.

    These are bytes between segments, odd application segments, wrong spectral bounds of a sequential scan, and zeros
    before the end marker.
    """
    kept, end, is_sequential = [data[:2]], len(data), False
    for marker, start, end in _segments(data):
        content = data[start:end]
        is_sequential |= marker in _SEQUENTIAL
        if marker == _SCAN and is_sequential:
            content = content[:-3] + b"\0\x3f\0"
        if not _ODD_NOTES.match(content):
            kept.append(bytes((0xFF, marker)) + data[start - 2 : start] + content)
    coded, mark, rest = data[end:].partition(_END)
    padded = coded.rstrip(b"\0")
    # A zero after 0xFF is coded data, not padding.
    return b"".join(kept) + padded + (b"\0" if padded.endswith(b"\xff") else b"") + mark + rest


def _check_means(data: bytes, samples: Bytes3D) -> None:
    """Refuses a sequential JPEG in which a block of luma is brighter or darker than 8 bits allow.

    A JPEG decoded at an eighth of its size gives the mean of each block. Decoded with another quantisation step, it
    also shows a mean that clipping to 8 bits hides. Progressive JPEG is not checked: that would double the time, and
    libjpeg's warnings already find as much damage there.

    Args:
        data: a JPEG that libjpeg decodes without a warning.
        samples: uint8 [H, W, C], decoded.

    Raises:
        ValueError: there is such a block.
    """
    # A block whose mean is out of range is all black or all white, and the damage begins and ends at block edges.
    # Few pictures look like that, so few are decoded a second time.
    place = _luma_step(data) if _has_clipped_block(samples) and _has_seam(samples) else 0
    if place == 0:
        return
    step = data[place]
    if _leaves_range(data, place, step) if step > 1 else _leaves_exact_range(data, place, samples):
        raise ValueError("the JPEG is brighter or darker than a picture can be")


def _has_clipped_block(samples: Bytes3D) -> bool:
    """Whether in any block of uint8 [H, W, C] four sampled pixels are all black or all white."""
    rows, columns = samples.shape[0] // _BLOCK * _BLOCK, samples.shape[1] // _BLOCK * _BLOCK
    four = [samples[row:rows:_BLOCK, column:columns:_BLOCK, 0] for row in (1, 6) for column in (1, 6)]
    return bool(np.maximum.reduce(four).min() == 0 or np.minimum.reduce(four).max() == 255)


def _has_seam(samples: Bytes3D) -> bool:
    """Whether the rows on both sides of a block edge of uint8 [H, W, C] differ by more than the rows next to them."""
    means = cv2.reduce(samples[..., 0], 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]
    steps = np.diff(means)
    at, above, below = steps[7::_BLOCK], steps[6::_BLOCK], steps[8::_BLOCK]
    at, above = at[: len(below)], above[: len(below)]
    return bool((np.abs(at - np.clip(at, np.minimum(above, below), np.maximum(above, below))) > _SEAM).any())


def _leaves_range(data: bytes, place: int, step: int) -> bool:
    """Whether a block's mean is out of range, checked with a smaller quantisation step."""
    largest = _MEAN_LIMIT + _MEAN_SLACK + step // 2
    smaller = step * (_MEAN_LIMIT - _MEAN_SLACK) // largest
    means = _means(data, place, smaller).astype(int) - 128
    return bool((np.abs(means) > largest * smaller / (_BLOCK * step) + 1).any())


def _leaves_exact_range(data: bytes, place: int, samples: Bytes3D) -> bool:
    """The same check where the step is 1, so that there is no smaller one.

    With a step of 4 instead, values out of range pass the end of libjpeg's clipping table and wrap around: what is too
    bright turns dark, and what is too dark turns bright.
    """
    rows, columns = samples.shape[0] // _BLOCK, samples.shape[1] // _BLOCK
    means = _means(data, place, 4)[:rows, :columns]
    whole = samples[: rows * _BLOCK, : columns * _BLOCK, 0]
    seen = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return bool((((seen > 191) & (means < 128)) | ((seen < 64) & (means >= 128))).any())


def _means(data: bytes, place: int, step: int) -> NDArray[np.uint8]:
    """uint8 [H / 8, W / 8]: the mean of each block, decoded with another quantisation step."""
    altered = data[:place] + bytes((step,)) + data[place + 1 :]
    means: Bytes3D = simplejpeg.decode_jpeg(altered, "GRAY", min_height=1, min_width=1, min_factor=_BLOCK)
    return means[..., 0]


def _luma_step(data: bytes) -> int:
    """Offset of the quantisation step of luma block means; 0 where the JPEG has no luma or its steps have 16 bits."""
    used, steps = -1, dict[int, int]()
    for marker, start, end in _segments(data):
        if marker in _SEQUENTIAL and data[start + 5] in (1, 3):
            used = data[start + 8]
        while marker == _TABLES and start < end:
            is_deep, table = data[start] >> 4, data[start] & 15
            steps[table] = 0 if is_deep else start + 1
            start += 129 if is_deep else 65
    _, _, colours, subsampling = simplejpeg.decode_jpeg_header(data)
    return steps.get(used, 0) if colours in ("Gray", "YCbCr") and subsampling != "unknown" else 0
