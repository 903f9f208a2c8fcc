"""Lung masks as hypothesis draws them."""

import cv2
import numpy as np
from hypothesis import strategies as st

from models.anatomy.lungs import Box, MaskView

SIZE = 512
WHOLE = MaskView(Box(0, 0, SIZE, SIZE), SIZE)
"""Of a mask that covers the radiograph."""


@st.composite
def blobs(draw: st.DrawFn, left: bool) -> np.ndarray:
    """One ragged ellipse on one side of the picture, uint8 [512, 512] of 0 and 1."""
    centre = (draw(st.integers(95, 150)) if left else draw(st.integers(362, 417)), draw(st.integers(180, 330)))
    axes = (draw(st.integers(25, 80)), draw(st.integers(60, 160)))
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(mask, centre, axes, draw(st.integers(-12, 12)), 0, 360, 1, -1)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    holes = rng.random((SIZE, SIZE)) < draw(st.sampled_from((0.0, 0.01, 0.2)))
    # Holes keep to the inside, so that the component stays one.
    mask[holes & (cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0) & (np.indices(mask.shape).sum(0) % 2 == 0)] = 0
    return mask


@st.composite
def two_lungs(draw: st.DrawFn) -> np.ndarray:
    """Two lungs that do not touch, bool [512, 512]."""
    return (draw(blobs(left=True)) | draw(blobs(left=False))).astype(bool)
