"""Quality flags from the picture alone, whatever it shows."""

import numpy as np

from models.pixels import Pixels
from models.quality.codes import LOW_CONTRAST, LOW_RESOLUTION, NOT_CHEST

MIN_SIDE = 256
"""Radiographs with a shorter side than this show too little of a lung's texture."""
MAX_SHAPE = 3
"""How many times as long as the other one side may be: no chest is longer."""
MIN_GRAY_RANGE = 48
"""With fewer gray levels between the 2nd and the 98th percentile, a radiograph is low in contrast."""
MIN_GRAY_LEVELS, LEVEL_SHARE = 72, 0.0005
"""It is also low in contrast if fewer levels than this have at least this share of its pixels each: a large bright
label widens the range and leaves few levels to the rest."""


def picture_flags(picture: Pixels, height: int, width: int) -> tuple[str, ...]:
    """Flags for shape, resolution and contrast.

    Args:
        picture: uint8 [H, W], the radiograph at any size.
        height, width: of the radiograph as received, pixels.
    """
    low, high = percentile_grays(picture, 0.02, 0.98)
    levels = np.count_nonzero(np.bincount(picture.ravel()) >= LEVEL_SHARE * picture.size)
    flags = []
    if max(height, width) > MAX_SHAPE * min(height, width):
        flags.append(NOT_CHEST)
    if min(height, width) < MIN_SIDE:
        flags.append(LOW_RESOLUTION)
    if high - low < MIN_GRAY_RANGE or levels < MIN_GRAY_LEVELS:
        flags.append(LOW_CONTRAST)
    return tuple(flags)


def percentile_grays(picture: Pixels, *shares: float) -> tuple[int, ...]:
    """The gray level at or below which each share of the pixels lies."""
    counts = np.cumsum(np.bincount(picture.ravel(), minlength=256))
    return tuple(int(np.searchsorted(counts, share * counts[-1])) for share in shares)
