"""A radiograph with what was found and what people drew, for a report."""

import base64

import cv2
import numpy as np

from models.evaluation.results import Analysed
from models.pack import Case
from models.pixels import Mask, Pixels

MAX_SIDE = 480
_CYAN, _RED, _YELLOW = (255, 255, 0), (60, 60, 255), (0, 220, 255)  # blue, green, red
_TINT = 0.35


def draw(case: Case, analysis: Analysed) -> str:
    """A picture as data URI: found lungs in cyan, found disease in red, the outlines that people drew in yellow."""
    gray = case.pixels
    picture = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
    lungs, disease = (_fitted(mask, gray) for mask in (analysis.lungs, analysis.disease))
    picture[disease] = ((1 - _TINT) * picture[disease] + _TINT * np.array(_RED)).astype(np.uint8)
    picture = _shrunk(picture)
    drawn = [mask for has, mask in ((case.has_lungs, "lungs"), (case.has_disease, "disease")) if has]
    for name in drawn:
        _outline(picture, getattr(case, name), _YELLOW)
    _outline(picture, lungs, _CYAN)
    done, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise RuntimeError("the picture could not be encoded as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


def _fitted(mask: Mask, gray: Pixels) -> Mask:
    """The mask; empty if its shape is not the radiograph's, as from a service that refused the file."""
    return mask if mask.shape == gray.shape else np.zeros(gray.shape, np.bool_)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _outline(picture: np.ndarray, mask: Mask, colour: tuple[int, int, int]) -> None:
    height, width = picture.shape[:2]
    small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)
