"""Radiographs drawn from a few shapes, and pictures as uploads."""

import cv2
import numpy as np


def radiograph(height: int = 700, width: int = 600, seed: int = 0) -> np.ndarray:
    """Bright ground, two dark lungs, in them bright patches at random."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width), 220, np.uint8)
    for x in (0.3, 0.7):
        centre = (int(width * x), height // 2)
        cv2.ellipse(picture, centre, (int(width * 0.14), int(height * 0.36)), 0, 0, 360, 20, -1)
        for _ in range(12):
            dx, dy = rng.normal(0, 0.06, 2)
            spot = (int(centre[0] + dx * width), int(centre[1] + 3 * dy * height))
            cv2.circle(picture, spot, int(rng.integers(4, 18)), 118, -1)
    return picture


def lung_mask(size: int = 384) -> np.ndarray:
    """Where ``radiograph`` has its lungs, uint8 [size, size] of 0 and 1."""
    mask = np.zeros((size, size), np.uint8)
    for x in (0.3, 0.7):
        cv2.ellipse(mask, (int(size * x), size // 2), (int(size * 0.14), int(size * 0.36)), 0, 0, 360, 1, -1)
    return mask


def encoded(picture: np.ndarray, extension: str = ".png") -> bytes:
    """The file of a picture, uint8 or uint16 [H, W]."""
    done, data = cv2.imencode(extension, picture)
    assert done
    return data.tobytes()
