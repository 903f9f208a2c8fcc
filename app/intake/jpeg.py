"""JPEG of 8 bits → samples, and an error where it is damaged.

libjpeg fills up what is damaged, and warns. Pillow and imagecodecs, on the same library, drop its warnings; simplejpeg
makes errors of them. A wrong bit that leaves the coding in step is not among them, but shifts all that follows it: the
means of blocks then leave the range of all pictures.
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
"""Colour profiles, which may be broken, and JFIF of another version."""
_MAX_SEGMENTS: Final = 10_000
_BLOCK: Final = 8
_MEAN_LIMIT: Final = 1024
"""Largest mean of a block that a picture of 8 bits has, either way from mid-gray, in eighths."""
_MEAN_SLACK: Final = 16
"""What encoders may be wrong by, in eighths."""
_SEAM: Final = 3
"""Of the rows' mean grays. Pictures with a mean out of range had 4 and more, as has one sound radiograph in twenty."""


def decode_jpeg(data: bytes, shape: tuple[int, int, int]) -> Bytes3D:
    """The samples of a JPEG, decoded as they are stored.

    Args:
        data: from its start marker on; what follows its end marker is left alone.
        shape: [H, W, C] as the header has been read; C is 4 for CMYK, and 1 for gray or for the luma of other colour.

    Returns:
        uint8 [H, W, C].

    Raises:
        ValueError: damaged, cut off, or of another shape.
    """
    try:
        samples = _decode(data, shape)
    except ValueError:
        # libjpeg warns of harmless oddities too, and names the first thing only.
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
    """The marker, start and end of each segment's content, to the first scan's header; skips what libjpeg skips."""
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
    """The same picture without what no decoder needs, and libjpeg warns of.

    That is: bytes between segments, odd notes, spectral bounds of a scan that has none, zeros before the end marker.
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
    # A zero after 0xFF belongs to it.
    return b"".join(kept) + padded + (b"\0" if padded.endswith(b"\xff") else b"") + mark + rest


def _check_means(data: bytes, samples: Bytes3D) -> None:
    """Refuses a sequential JPEG in which a block of luma is brighter or darker than 8 bits can be.

    Decoded at an eighth of its size, a JPEG shows the mean of each block, and with another step of quantisation also
    a mean that the samples' range hides. Progressive JPEG is left out: it would take as long again, and libjpeg's
    warnings find as much.

    Args:
        data: a JPEG that libjpeg does not warn of.
        samples: uint8 [H, W, C], decoded.

    Raises:
        ValueError: there is such a block.
    """
    # A mean that is out of range leaves nothing of its block but black or white, and what is wrong begins and ends
    # between blocks: few pictures need a second look.
    place = _luma_step(data) if _has_clipped_block(samples) and _has_seam(samples) else 0
    if place == 0:
        return
    step = data[place]
    if _leaves_range(data, place, step) if step > 1 else _leaves_exact_range(data, place, samples):
        raise ValueError("the JPEG is brighter or darker than a picture can be")


def _has_clipped_block(samples: Bytes3D) -> bool:
    """Whether four pixels of any block of uint8 [H, W, C] are all black, or all white."""
    rows, columns = samples.shape[0] // _BLOCK * _BLOCK, samples.shape[1] // _BLOCK * _BLOCK
    four = [samples[row:rows:_BLOCK, column:columns:_BLOCK, 0] for row in (1, 6) for column in (1, 6)]
    return bool(np.maximum.reduce(four).min() == 0 or np.minimum.reduce(four).max() == 255)


def _has_seam(samples: Bytes3D) -> bool:
    """Whether two rows of uint8 [H, W, C] on either side of a block's edge differ by more than the rows beside them."""
    means = cv2.reduce(samples[..., 0], 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]
    steps = np.diff(means)
    at, above, below = steps[7::_BLOCK], steps[6::_BLOCK], steps[8::_BLOCK]
    at, above = at[: len(below)], above[: len(below)]
    return bool((np.abs(at - np.clip(at, np.minimum(above, below), np.maximum(above, below))) > _SEAM).any())


def _leaves_range(data: bytes, place: int, step: int) -> bool:
    """Whether a block's mean is out of range, as seen with a smaller step."""
    largest = _MEAN_LIMIT + _MEAN_SLACK + step // 2
    smaller = step * (_MEAN_LIMIT - _MEAN_SLACK) // largest
    means = _means(data, place, smaller).astype(int) - 128
    return bool((np.abs(means) > largest * smaller / (_BLOCK * step) + 1).any())


def _leaves_exact_range(data: bytes, place: int, samples: Bytes3D) -> bool:
    """The same where the step is 1, and none is smaller.

    With a step of 4 the range ends where libjpeg's table of clipped values goes round: what is too bright turns dark,
    and what is too dark turns bright.
    """
    rows, columns = samples.shape[0] // _BLOCK, samples.shape[1] // _BLOCK
    means = _means(data, place, 4)[:rows, :columns]
    whole = samples[: rows * _BLOCK, : columns * _BLOCK, 0]
    seen = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return bool((((seen > 191) & (means < 128)) | ((seen < 64) & (means >= 128))).any())


def _means(data: bytes, place: int, step: int) -> NDArray[np.uint8]:
    """uint8 [H / 8, W / 8]: each block's mean, decoded with another step of quantisation."""
    altered = data[:place] + bytes((step,)) + data[place + 1 :]
    means: Bytes3D = simplejpeg.decode_jpeg(altered, "GRAY", min_height=1, min_width=1, min_factor=_BLOCK)
    return means[..., 0]


def _luma_step(data: bytes) -> int:
    """Where the quantisation step of the luma's means stands; 0 where means are not luma's or steps have 16 bits."""
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
