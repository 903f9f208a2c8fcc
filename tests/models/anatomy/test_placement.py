"""Masks on the grid in the pixels of radiographs of any size."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.anatomy.lungs import Box, MaskView, separate_lungs
from models.anatomy.placement import PlacedMasks, Placement

GRID, SIZE = 512, 384


BOX = Box(40, 30, 340, 360)


def masks(height: int, width: int) -> PlacedMasks:
    """Two upright ovals, with disease in the lower half of the image-left one."""
    lungs = np.zeros((GRID, GRID), np.uint8)
    cv2.ellipse(lungs, (140, 256), (90, 230), 0, 0, 360, 1, cv2.FILLED)
    cv2.ellipse(lungs, (380, 256), (90, 200), 0, 0, 360, 1, cv2.FILLED)
    disease = lungs.copy()
    disease[:300] = 0
    disease[:, 256:] = 0
    view = MaskView(BOX, SIZE)
    pair = separate_lungs(lungs.view(np.bool_), "robust", view)
    return PlacedMasks(Placement(height, width, view, GRID), pair, None, disease.view(np.bool_))


@given(st.integers(200, 900), st.integers(200, 900), st.floats(0.3, 1))
def test_a_smaller_radiograph_shows_the_same_within_a_pixel(height: int, width: int, share: float) -> None:
    large = masks(height, width)
    small = large.at(max(round(height * share), 1), max(round(width * share), 1))
    assert small.zones.shape == small.lungs.shape == small.disease.shape == small.shape
    for one, other in ((large.lungs, small.lungs), (large.disease, small.disease)):
        shrunk = cv2.resize(one.view(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST)
        apart = shrunk != other.view(np.uint8)
        # An edge may fall to the one or the other side of a pixel: a line of them is left by eroding once.
        assert not cv2.erode(apart.view(np.uint8), np.ones((3, 3), np.uint8)).any()


def test_at_its_own_size_nothing_is_placed_again() -> None:
    found = masks(300, 200)
    assert found.at(300, 200) is found


@pytest.mark.parametrize("scale", [1, 4])
def test_zones_keep_their_share_at_any_size(scale: int) -> None:
    labels = masks(400 * scale, 300 * scale).zones
    areas = np.bincount(labels.ravel(), minlength=7)[1:]
    assert areas[:3] / areas[:3].sum() == pytest.approx([1 / 3] * 3, abs=0.01)
    assert areas[3:] / areas[3:].sum() == pytest.approx([1 / 3] * 3, abs=0.01)
