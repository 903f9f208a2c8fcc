"""Faulty pictures of chests, made from right ones so that the rule can learn to recognise them."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pixels import Pixels

Alter: TypeAlias = Callable[[Pixels, np.random.Generator], Pixels]


def _turned(quarters: int) -> Alter:
    return lambda picture, rng: np.ascontiguousarray(np.rot90(picture, quarters))


def _inverted(picture: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(255 - picture, np.uint8)


def _half(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """The left or the right half alone."""
    middle = int(picture.shape[1] * rng.uniform(0.45, 0.55))
    return picture[:, :middle] if rng.random() < 0.5 else picture[:, middle:]


def _belly(picture: Pixels, rng: np.random.Generator) -> Pixels:
    return picture[int(picture.shape[0] * rng.uniform(0.68, 0.8)) :]


def _shoulders(picture: Pixels, rng: np.random.Generator) -> Pixels:
    return picture[: int(picture.shape[0] * rng.uniform(0.15, 0.28))]


def _zoomed(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A part of one lung."""
    height, width = picture.shape
    side = rng.uniform(0.2, 0.38)
    x = rng.uniform(0.1, 0.4) if rng.random() < 0.5 else rng.uniform(0.55, 0.9 - side + 0.1)
    top, left = int(rng.uniform(0.15, 0.5) * height), int(x * width)
    return picture[top : top + int(side * height) + 1, left : left + int(side * width) + 1]


def _shuffled(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """The same gray values in another order of tiles."""
    count = int(rng.integers(3, 7))
    square = cv2.resize(picture, (count * 64, count * 64), interpolation=cv2.INTER_AREA)
    tiles = square.reshape(count, 64, count, 64).swapaxes(1, 2).reshape(-1, 64, 64)
    mixed = tiles[rng.permutation(len(tiles))].reshape(count, count, 64, 64)
    return np.asarray(mixed.swapaxes(1, 2).reshape(count * 64, count * 64), np.uint8)


def _sideways(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Both lungs laid over each other, the spine at one side: roughly a lateral."""
    height, width = picture.shape
    half = width // 2
    left, right = picture[:, :half], picture[:, width - half :]
    laid: NDArray[Any] = 0.5 * left.astype(np.float32) + 0.5 * (right if rng.random() < 0.5 else right[:, ::-1])
    heart = np.exp(-(((np.arange(half) / half - rng.uniform(0.4, 0.7)) / 0.25) ** 2))
    low = np.exp(-(((np.arange(height) / height - 0.6) / 0.2) ** 2))
    laid = laid + 60 * low[:, None] * heart[None]
    edge = int(width * rng.uniform(0.05, 0.3))
    return np.asarray(np.clip(np.pad(laid, ((0, 0), (edge, edge)), "linear_ramp"), 0, 255), np.uint8)


def _leaning(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Turned by 35 to 60 degrees."""
    height, width = picture.shape
    angle = float(rng.choice([-1, 1]) * rng.uniform(35, 60))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 0.9)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8)


TURNS: Final[dict[str, Alter]] = {"turned by 90": _turned(1), "turned by 180": _turned(2), "turned by 270": _turned(3)}
INVERSION: Final[dict[str, Alter]] = {"inverted": _inverted}
PARTS: Final[dict[str, Alter]] = {
    "halves": _half,
    "bellies": _belly,
    "shoulders": _shoulders,
    "part of a lung": _zoomed,
    "shuffled": _shuffled,
    "sideways": _sideways,
    "leaning": _leaning,
}
"""After these a picture is no longer a whole frontal chest."""


def exposed(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """The same frontal chest as another machine or reader might have it: uint8 [h, w].

    Changes window, gamma, noise, sharpness, angle (by a few degrees), margins and sides, and may add a frame.
    """
    height, width = picture.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 4), float(rng.uniform(0.8, 1.08)))
    turn[:, 2] = turn[:, 2] + rng.normal(0, 0.025, 2) * (width, height)
    border = int(np.median(picture[[0, -1]])) if rng.random() < 0.4 else 0
    moved = cv2.warpAffine(picture, turn, (width, height), borderValue=border)
    levels: NDArray[Any] = (np.clip(moved, 1, 255).astype(np.float32) / 255) ** np.float32(rng.uniform(0.6, 1.6))
    low, high = rng.uniform(-0.15, 0.1), rng.uniform(0.85, 1.25)
    levels = (levels - low) / (high - low)
    if rng.random() < 0.4:
        levels = np.asarray(cv2.GaussianBlur(levels, (0, 0), float(rng.uniform(0.5, 2))))
    levels = levels + rng.uniform(0, 0.04) * rng.normal(size=levels.shape)
    if rng.random() < 0.3:
        levels = levels[:, ::-1]
    if rng.random() < 0.3:
        frame = [int(share * width) for share in rng.uniform(0, 0.1, 4)]
        levels = np.pad(levels, ((frame[0], frame[1]), (frame[2], frame[3])))
    return np.asarray(np.clip(levels, 0, 1) * 255, np.uint8)
