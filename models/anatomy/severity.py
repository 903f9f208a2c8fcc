"""Shares, score and margin, after Danilov et al. (Sci Rep 12:12791)."""

from collections.abc import Sequence
from math import isnan, nan

import numpy as np

from models.anatomy.lungs import Lung, LungPair
from models.pixels import Mask

ZONES = ("right_lower", "right_middle", "right_upper", "left_lower", "left_middle", "left_upper")
"""The six zones by patient side, in the reference's order: on a frontal radiograph the image-left lung is
the patient's right one."""

MAX_SCORE = len(ZONES)


def zone_shares(lungs: LungPair, disease: Mask) -> tuple[float, ...]:
    """The diseased share of each zone in the reference's order.

    Args:
        lungs: the two lungs, masks bool [H, W].
        disease: bool [H, W], on the same grid.

    Returns:
        Six numbers 0..1; NaN for the zones of a lung that was not found, 0 for a zone without pixels.
    """
    return (*_lung_shares(lungs.left, disease), *_lung_shares(lungs.right, disease))


def _lung_shares(lung: Lung | None, disease: Mask) -> tuple[float, ...]:
    if lung is None:
        return (nan, nan, nan)
    return tuple(_share(lung.mask[rows], disease[rows]) for rows in lung.zones)


def _share(zone: Mask, disease: Mask) -> float:
    area = np.count_nonzero(zone)
    return float(np.count_nonzero(zone & disease) / area) if area else 0.0


def severity_score(shares: Sequence[float], threshold: float) -> int | None:
    """How many shares are strictly above the threshold; None if a share is not known."""
    if any(isnan(share) for share in shares):
        return None
    return sum(share > threshold for share in shares)


def threshold_margin(shares: Sequence[float], threshold: float) -> float | None:
    """The smallest distance from a share to the threshold: so small a change could alter the score."""
    if any(isnan(share) for share in shares):
        return None
    return min(abs(share - threshold) for share in shares)


def diseased_share(lungs: Mask, disease: Mask) -> float | None:
    """Diseased area over lung area, masks bool on one grid; None without lungs."""
    area = np.count_nonzero(lungs)
    return float(np.count_nonzero(lungs & disease) / area) if area else None
