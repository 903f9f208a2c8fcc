"""What the lungs that were found say."""

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
"""Part of a picture's side over which lungs may reach its edge; where they do so longer, some of them is missing."""
DARK, BRIGHT = 16, 230
"""Gray levels of 256 near which no texture of a lung is left."""
EXPOSED_SHARE = 0.25
"""Share of the lungs' pixels up to ``DARK``, or from ``BRIGHT``, from which a radiograph is over- or under-exposed."""


def lung_flags(lungs: LungPair) -> tuple[str, ...]:
    """How many were found."""
    if lungs.found == 0:
        return (LUNGS_NOT_FOUND,)
    if lungs.found == 1:
        return (SINGLE_LUNG,)
    return (LUNGS_MERGED,) if lungs.merged else ()


def mask_flags(picture: Pixels, lungs: Mask) -> tuple[str, ...]:
    """Exposure within the lungs, and whether the picture's edge cuts them off.

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
    """What the distance of the nearest share to the threshold says."""
    return (BORDERLINE,) if margin is not None and margin < BORDERLINE_MARGIN else ()


def _longest_edge(lungs: Mask) -> int:
    """The most lung pixels on one side of the picture."""
    return max(int(np.count_nonzero(side)) for side in (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]))
