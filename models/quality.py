"""Why a radiograph should not be trusted, or not be scored: stable codes."""

import numpy as np

from models.lungs import LungPair
from models.pixels import Pixels

LUNGS_NOT_FOUND = "lungs_not_found"
SINGLE_LUNG = "single_lung"
LUNGS_MERGED = "lungs_merged"
BORDERLINE = "borderline"
LOW_RESOLUTION = "low_resolution"
LOW_CONTRAST = "low_contrast"

BORDERLINE_MARGIN = 0.02
"""A share this near to the threshold could fall on either side of it."""
MIN_SIDE = 256
"""Radiographs with a shorter side than this show too little of a lung's texture."""
MIN_GRAY_RANGE = 48
"""Gray levels between the 2nd and the 98th percentile under which a radiograph is called low in contrast."""


def picture_flags(picture: Pixels, height: int, width: int) -> tuple[str, ...]:
    """What the picture alone says.

    Args:
        picture: uint8 [H, W], the radiograph at any size.
        height, width: of the radiograph as it came, pixels.
    """
    low, high = _percentile_grays(picture, 0.02, 0.98)
    flags = []
    if min(height, width) < MIN_SIDE:
        flags.append(LOW_RESOLUTION)
    if high - low < MIN_GRAY_RANGE:
        flags.append(LOW_CONTRAST)
    return tuple(flags)


def lung_flags(lungs: LungPair) -> tuple[str, ...]:
    """What the lungs that were found say."""
    if lungs.found == 0:
        return (LUNGS_NOT_FOUND,)
    if lungs.found == 1:
        return (SINGLE_LUNG,)
    return (LUNGS_MERGED,) if lungs.merged else ()


def margin_flags(margin: float | None) -> tuple[str, ...]:
    """What the distance of the nearest share to the threshold says."""
    return (BORDERLINE,) if margin is not None and margin < BORDERLINE_MARGIN else ()


def _percentile_grays(picture: Pixels, *shares: float) -> tuple[int, ...]:
    counts = np.cumsum(np.bincount(picture.ravel(), minlength=256))
    return tuple(int(np.searchsorted(counts, share * counts[-1])) for share in shares)
