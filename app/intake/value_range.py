"""Finds the range of values that becomes black to white, without bad pixels, burnt-in markers and labels."""

from math import ceil, sqrt
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
Pixels: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = tuple[NDArray[np.intp], ...]

_GAP: Final = 0.25
"""Distance from all other values beyond which values are left out, as a share of the middle's width."""
_MIDDLE: Final = 0.05
"""Share of the pixels at either end that are not the middle: more than a label has."""
_MOST: Final = 0.025
"""Largest share of the pixels left out at either end: a label of 2 %, and the error of the sample."""
_STRAY: Final = 0.0002
"""Largest share of the pixels inside a gap."""
_SAMPLE, _LARGE_SAMPLE = 1 << 14, 1 << 17
"""Pixels. The small sample is enough for most pictures, and takes half a millisecond for a picture of any size."""
_NEIGHBOURS: Final = ((-1, 0), (1, 0), (0, -1), (0, 1))


def value_range(samples: NDArray[Any], ends: tuple[float, float], values: Values | None = None) -> tuple[float, float]:
    """The smallest and the largest value to show: ``ends``, unless a few pixels lie far beyond all others.

    Args:
        samples: [H, W], the picture.
        ends: its smallest and its largest value.
        values: float64 [N], the value of each sample n; NaN where such pixels are no part of the picture. None: samples
            are the values.
    """
    table = None if values is None else values.astype(np.float32)
    places = np.ix_(*(np.arange(0, side, _step(samples, _SAMPLE)) for side in samples.shape))
    pixels = _looked_up(samples[places], table)
    there = pixels[~np.isnan(pixels)]
    first, last = (float(value) for value in np.quantile(there, (_MIDDLE, 1 - _MIDDLE)))
    gap = _GAP * (last - first)
    if not gap > 0:
        return ends
    # Bad pixels and the edges of letters are steep, tissue is not. A picture that is steep all over shows no tissue.
    steps = np.abs(_around(samples, table, places) - pixels)
    even = pixels[~(steps >= gap).any(axis=0)]
    if even.size < there.size / 2:
        return ends
    low, high = -_end(-even, -first, gap, there.size), _end(even, last, gap, there.size)
    is_low = ends[0] < low - gap and np.mean(there < low - gap) <= _MOST
    is_high = ends[1] > high + gap and np.mean(there > high + gap) <= _MOST
    if not (is_low or is_high):
        return ends
    found = _widened(samples, table, (low, high), gap)
    return found[0] if is_low else ends[0], found[1] if is_high else ends[1]


def _end(values: Pixels, start: float, gap: float, count: int) -> float:
    """The last value before a gap with only a few of ``count`` pixels beyond it; without such a gap, the last value.

    Args:
        start: a value of the middle, from which the search begins.
    """
    ordered = np.sort(values[values >= start])
    beyond = np.searchsorted(ordered, ordered + gap)
    places = np.arange(len(ordered))
    can_end = (beyond < len(ordered)) & (len(ordered) - places <= _MOST * count)
    within = (beyond - places - 1)[can_end]
    if not within.size or within.min() > _STRAY * count:
        return float(ordered[-1]) if ordered.size else start
    return float(ordered[can_end][np.argmax(within <= 1.5 * within.min())])


def _widened(samples: NDArray[Any], table: Pixels | None, ends: tuple[float, float], gap: float) -> tuple[float, float]:
    """``ends`` found in the small sample, moved outwards to the last values near them in the large sample."""
    step = _step(samples, _LARGE_SAMPLE)
    pixels = _looked_up(samples[::step, ::step], table)
    low, high = ends
    middle, half = (low + high) / 2, (high - low) / 2
    off = np.abs(pixels - np.float32(middle)) - np.float32(half)
    rows, columns = np.divmod(np.flatnonzero((off > 0) & (off < gap)), pixels.shape[1])
    near = pixels[rows, columns]
    around = _around(samples, table, (rows * step, columns * step))
    # Leaves out single bad pixels, and the edges of what lies farther out.
    counts = (np.abs(around - near) < gap).any(axis=0) & (np.abs(around - middle) < half + gap).all(axis=0)
    return min(low, float(near[counts].min(initial=low))), max(high, float(near[counts].max(initial=high)))


def _around(samples: NDArray[Any], table: Pixels | None, places: Places) -> Pixels:
    """The four neighbours [4, …] of the pixels at ``places`` […]; beyond the picture's edge, the pixel itself."""
    (rows, columns), (height, width) = places, samples.shape
    return np.stack(
        [
            _looked_up(samples[np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)], table)
            for down, right in _NEIGHBOURS
        ]
    )


def _looked_up(samples: NDArray[Any], table: Pixels | None) -> Pixels:
    return samples.astype(np.float32) if table is None else table.take(samples)


def _step(samples: NDArray[Any], most: int) -> int:
    """The step between sampled rows and columns that gives about ``most`` pixels."""
    return ceil(sqrt(samples.size / most))
