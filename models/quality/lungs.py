"""Quality flags from the lungs that were found."""

import numpy as np

from models.anatomy.lungs import LungPair
from models.pixels import Mask, Pixels
from models.quality.codes import (
    BORDERLINE,
    LUNGS_CUT_OFF,
    LUNGS_MERGED,
    LUNGS_NOT_FOUND,
    OVER_EXPOSED,
    SINGLE_LUNG,
    UNDER_EXPOSED,
)
from models.quality.picture import percentile_grays

BORDERLINE_MARGIN = 0.02
"""A share this near to the threshold could fall on either side of it."""
CUT_OFF_LENGTH = 0.1
"""Lungs that touch a picture's edge along this part of its side, or more, are cut off."""
DARK, BRIGHT = 16, 230
"""Gray levels of 256 near which no texture of a lung is left."""
EXPOSED_SHARE = 0.25
"""A radiograph is over- or under-exposed when this share of the lungs is at most ``DARK`` or at least ``BRIGHT``."""


def lung_flags(lungs: LungPair) -> tuple[str, ...]:
    """Flags for how many lungs were found."""
    if lungs.found == 0:
        return (LUNGS_NOT_FOUND,)
    if lungs.found == 1:
        return (SINGLE_LUNG,)
    return (LUNGS_MERGED,) if lungs.merged else ()


def mask_flags(picture: Pixels, lungs: Mask) -> tuple[str, ...]:
    """Flags for exposure within the lungs, and for lungs that the picture's edge cuts off.

    As on film, too much exposure is dark and too little is bright.

    Args:
        picture: uint8 [S, S], as stage I saw it.
        lungs: bool [S, S], cleaned.
    """
    inside = picture[lungs]
    if not len(inside):
        return ()
    low, high = percentile_grays(inside, EXPOSED_SHARE, 1 - EXPOSED_SHARE)
    flags = []
    if low <= DARK:
        flags.append(OVER_EXPOSED)
    if high >= BRIGHT:
        flags.append(UNDER_EXPOSED)
    if _longest_edge(lungs) >= CUT_OFF_LENGTH * len(lungs):
        flags.append(LUNGS_CUT_OFF)
    return tuple(flags)


def margin_flags(margin: float | None) -> tuple[str, ...]:
    """The flag for a share near to the threshold."""
    return (BORDERLINE,) if margin is not None and margin < BORDERLINE_MARGIN else ()


def _longest_edge(lungs: Mask) -> int:
    """The most lung pixels on one side of the picture."""
    return max(int(np.count_nonzero(side)) for side in (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]))
