"""Stage II's crop from the radiograph's own pixels, which show more detail than stage I's small picture."""

import cv2
import numpy as np

from models.anatomy.lungs import Box
from models.pixels import Mask, Pixels


def own_crop(own: Pixels, mask: Mask, box: Box, size: int) -> Pixels:
    """The box around the lungs at ``size`` x ``size``, all but the lungs black: uint8 [size, size].

    Args:
        own: uint8 [H, W], the radiograph.
        mask: bool [S, S], the cleaned lungs on stage I's picture.
        box: around the lungs in stage I's picture.
    """
    part = own[_scaled(box.y0, box.y1, len(mask), own.shape[0]), _scaled(box.x0, box.x1, len(mask), own.shape[1])]
    lungs = cv2.resize(mask[box.slices].astype(np.uint8) * 255, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.where(lungs > 127, resized(part, size), 0).astype(np.uint8)


def resized(picture: Pixels, size: int) -> Pixels:
    """Resizes uint8 [H, W] to ``size`` x ``size``; when that is smaller, each pixel is the mean of its area."""
    smaller = min(picture.shape) > size
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (size, size), interpolation=how), np.uint8)


def _scaled(first: int, last: int, side: int, own_side: int) -> slice:
    """Where the pixels ``first`` to ``last`` of ``side`` lie among ``own_side``; at least one pixel."""
    begin = min(round(first * own_side / side), own_side - 1)
    return slice(begin, max(round(last * own_side / side), begin + 1))
