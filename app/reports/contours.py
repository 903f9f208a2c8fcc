"""Converts a mask to polygons."""

import cv2
import numpy as np

from models.pixels import Mask

TOLERANCE = 0.75
"""How far a polygon may be from the border's pixels, in pixels; this leaves a tenth of the points."""


def contours(mask: Mask) -> list[list[list[int]]]:
    """The outer border of each component, holes left out.

    Args:
        mask: bool [H, W].

    Returns:
        One polygon ``[[x, y], ...]`` of three points or more per component, through the centres of its border
        pixels. A component without an area (a speck, a straight line one pixel wide) has none.

    Raises:
        ValueError: another dtype or shape.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"expected bool [H, W], found {mask.dtype} {list(mask.shape)}")
    found, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for border in found:
        simple = cv2.approxPolyDP(border, TOLERANCE, closed=True)
        # A small component can lose all of its area to the tolerance.
        kept = simple if len(simple) >= 3 else border
        if len(kept) >= 3:
            polygons.append([[int(x), int(y)] for x, y in kept[:, 0]])
    return polygons
