"""Prepares radiographs as at run time: as stage I sees them, and cut out for stage II."""

import cv2
import numpy as np

from models.anatomy.lungs import Box, clean_lungs, lungs_box, min_component_area
from models.pixels import Mask, Pixels
from models.runtime.stage import Stage


def shrink(pixels: Pixels, size: int) -> Pixels:
    """Resizes uint8 [H, W] to ``size`` x ``size``, bilinear."""
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def find_lungs(picture: Pixels, lungs: Stage) -> Mask:
    """Stage I's cleaned mask bool [S, S] of a picture uint8 [S, S] at its input size."""
    return clean_lungs(lungs.run([picture])[0][0] > 0.5, min_component_area(lungs.input_size))


def box_of(mask: Mask) -> Box:
    """The box around the lungs; the whole picture if there are none."""
    return lungs_box(mask) or Box(0, 0, mask.shape[1], mask.shape[0])
