"""Radiographs for measuring, made by code: what hospitals send in size and format, and nobody's."""

import cv2
import numpy as np

from models.phantom import draw_phantom

HAZE = ("right_lower", "left_middle")


def jpeg(height: int, width: int) -> bytes:
    """An 8-bit gray JPEG of quality 95."""
    return _encoded(".jpg", _phantom(height, width), cv2.IMWRITE_JPEG_QUALITY, 95)


def png(height: int, width: int) -> bytes:
    """An 8-bit gray PNG."""
    return _encoded(".png", _phantom(height, width), cv2.IMWRITE_PNG_COMPRESSION, 6)


def deep_png(height: int, width: int) -> bytes:
    """A 16-bit gray PNG that uses 12 bits, with noise in the lowest."""
    deep = _phantom(height, width).astype(np.uint16) * 16
    deep += np.random.default_rng(0).integers(0, 16, deep.shape, dtype=np.uint16)
    return _encoded(".png", deep, cv2.IMWRITE_PNG_COMPRESSION, 6)


def _phantom(height: int, width: int) -> np.ndarray:
    return cv2.resize(draw_phantom(1024, HAZE), (width, height), interpolation=cv2.INTER_LINEAR)


def _encoded(extension: str, picture: np.ndarray, option: int, value: int) -> bytes:
    done, data = cv2.imencode(extension, picture, [option, value])
    if not done:
        raise RuntimeError(f"cannot encode {extension}")
    return data.tobytes()
