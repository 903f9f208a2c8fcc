"""Converts decoded samples to 8-bit gray, black at 0."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from app.errors import UnreadableImage
from app.intake.value_range import value_range

Gray = NDArray[np.uint8]
# A band of rows at a time keeps the float64 copy of a large picture small.
_BAND_PIXELS: Final = 1 << 20
_LEVELS: Final = 1 << 16

_UPRIGHT: Final[Mapping[int, Callable[[Gray], Gray]]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels.T, 2),
    8: np.rot90,
}


def upright(pixels: Gray, orientation: int) -> Gray:
    """``pixels`` uint8 [H, W] turned upright by an EXIF orientation; an unknown value leaves them as they are."""
    turn = _UPRIGHT.get(orientation)
    return np.ascontiguousarray(turn(pixels) if turn else pixels)


def gray_of_8_bit(image: Image.Image) -> Gray:
    """uint8 [H, W] of a decoded picture of 8 bits a channel or fewer, of any Pillow mode.

    Colour becomes ITU-R 601 luma; a transparent picture is composited over black.

    Raises:
        ValueError: a mode that Pillow cannot convert (LAB).
    """
    if image.mode == "La":
        # Already multiplied by its alpha, which is all that compositing over black would do.
        return np.asarray(image.getchannel("L"))
    if not image.has_transparency_data:
        return np.asarray(_luma(image))
    layered = image if image.mode in ("LA", "RGBA") else image.convert("LA" if image.mode in "1L" else "RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema() == (0, 0):
        # Fully transparent: the writer left the fourth byte unset, as many BMP writers do.
        return np.asarray(_luma(layered))
    return np.asarray(ImageChops.multiply(_luma(layered), alpha))


def _luma(image: Image.Image) -> Image.Image:
    """``image`` in mode "L"; palettes and CMYK become RGB first, so that one formula weights every colour."""
    if image.mode in ("P", "PA", "CMYK"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")


def gray_of_16_bit_colour(pixels: NDArray[np.uint16], has_alpha: bool) -> Gray:
    """uint8 [H, W] of uint16 [H, W, 3 or 4] (blue first, as OpenCV decodes), composited over black."""
    luma = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY)
    if has_alpha and pixels.shape[2] == 4 and pixels[..., 3].any():
        share = pixels[..., 3].astype(np.float32) / (_LEVELS - 1)
        luma = np.rint(luma * share).astype(np.uint16)
    return scaled(luma)


def scaled(samples: NDArray[Any]) -> Gray:
    """``samples`` [H, W] of 16 or 32 bits as uint8, their ``value_range`` stretched to 0..255.

    A 12-bit radiograph in 16-bit samples becomes as bright as the same one stored in 8 bits. A picture with a single
    value becomes black.

    Raises:
        UnreadableImage: samples that are not finite.
    """
    low, high = samples.min(), samples.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnreadableImage("The picture has samples that are not finite numbers")
    low, high = value_range(samples, (float(low), float(high)))
    if samples.dtype.kind == "u" and samples.dtype.itemsize == 2:
        return _by_table(samples, int(low), int(high))
    return _by_bands(samples, low, high)


def _by_table(samples: NDArray[Any], low: int, high: int) -> Gray:
    """``scaled`` for uint16, by looking up each of the 65,536 possible values."""
    table = np.zeros(_LEVELS, np.uint8)
    if high > low:
        table[low : high + 1] = np.rint(np.linspace(0, 255, high - low + 1))
        table[high:] = 255
    return looked_up(samples, table)


def looked_up(samples: NDArray[Any], table: Gray) -> Gray:
    """The gray of unsigned samples [H, W] of 8 or 16 bits, from a table of all 256 or 65,536 values."""
    # OpenCV ignores the byte order of the array.
    native = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    return np.asarray(cv2.LUT(native, table), np.uint8)


def _by_bands(samples: NDArray[Any], low: float, high: float) -> Gray:
    """``scaled`` for any samples, in float64."""
    gray = np.zeros(samples.shape, np.uint8)
    if high == low:
        return gray
    rows = max(1, _BAND_PIXELS // samples.shape[1])
    for start in range(0, samples.shape[0], rows):
        band = samples[start : start + rows].astype(np.float64)
        gray[start : start + rows] = np.rint(np.clip((band - low) / (high - low), 0, 1) * 255)
    return gray
