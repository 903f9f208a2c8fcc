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


def bodies(kind: str) -> list[bytes]:
    """``mixed``: sizes and formats as they come; ``jpeg``: 1024 x 1024; ``tiny``: 64 x 64, next to nothing to do."""
    if kind == "tiny":
        return [png(64, 64)]
    if kind == "jpeg":
        return [jpeg(1024, 1024)]
    return [
        jpeg(1024, 1024),
        png(512, 512),
        jpeg(2048, 1792),
        png(1200, 1000),
        jpeg(1024, 1024),
        deep_png(2500, 2048),
        jpeg(800, 700),
        jpeg(3000, 3000),
    ]


def _phantom(height: int, width: int) -> np.ndarray:
    return cv2.resize(draw_phantom(1024, HAZE), (width, height), interpolation=cv2.INTER_LINEAR)


def _encoded(extension: str, picture: np.ndarray, option: int, value: int) -> bytes:
    done, data = cv2.imencode(extension, picture, [option, value])
    if not done:
        raise RuntimeError(f"cannot encode {extension}")
    return data.tobytes()
