"""What the rule sees of a picture: two thumbnails, and the place, look and symmetry of the lungs stage I finds.

Everything is computed on 64 x 64 pixels, which takes a fraction of a millisecond per radiograph.
"""

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pixels import Pixels, ProbabilityMap

Numbers: TypeAlias = NDArray[np.float32]

SIDE: Final = 64
THUMBNAIL: Final = 16
SIDES: Final = 24
"""Side of the square on which the lungs' surroundings are compared with their mirror image, pixels."""
_BELOW: Final = 0.15
"""How far below the lungs the stomach's air bubble lies, as a part of their height."""
_PLACES: Final[Numbers] = np.asarray((np.arange(SIDE) + 0.5) / SIDE, np.float32)
_LEAST_MASS = 1e-3
_LEAST_DEVIATION = 4.0
"""Gray levels: a picture flatter than this is not stretched further."""


def shrink(picture: Pixels | ProbabilityMap) -> Numbers:
    """A picture or map [S, S] at 64 x 64, each pixel the mean of its area."""
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def thumbnail(gray: Numbers) -> Numbers:
    """Gray float32 [64, 64] at 16 x 16 with mean 0 and deviation 1; an inverted picture has the negative of it."""
    small = cv2.resize(gray, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray((small - small.mean()) / max(float(small.std()), _LEAST_DEVIATION), np.float32)


def chest_features(gray: Numbers, lungs: Numbers) -> Numbers:
    """All features that the rule weighs: float32 [2 * 256 + n].

    Args:
        gray: float32 [64, 64], the picture, 0..255.
        lungs: float32 [64, 64], stage I's map, 0..1.
    """
    where = cv2.resize(lungs, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.concatenate([thumbnail(gray).ravel(), where.ravel(), _measures(gray, lungs)])


def side_features(gray: Numbers, lungs: Numbers) -> Numbers:
    """Features that tell right from left around the lungs: float32 [2 * 288]; a mirrored picture has the negative.

    Args:
        gray: float32 [64, 64], the picture, 0..255.
        lungs: float32 [64, 64], stage I's map, 0..1.
    """
    rows, columns = (np.flatnonzero((lungs > 0.5).any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(SIDES * SIDES, np.float32)
    below = rows[-1] + 1 + round(_BELOW * (rows[-1] - rows[0]))
    part = slice(rows[0], min(below, SIDE)), slice(columns[0], columns[-1] + 1)
    inside = [
        np.asarray(cv2.resize(values[part], (SIDES, SIDES), interpolation=cv2.INTER_AREA), np.float32)
        for values in (gray, lungs)
    ]
    inside[0] = (inside[0] - inside[0].mean()) / max(float(inside[0].std()), _LEAST_DEVIATION)
    return np.concatenate([(values - values[:, ::-1])[:, : SIDES // 2].ravel() / 2 for values in inside])


def _measures(gray: Numbers, lungs: Numbers) -> Numbers:
    inside = lungs > 0.5
    weights = lungs * inside
    area, doubt = float(inside.mean()), float((4 * lungs * (1 - lungs)).mean())
    mass = float(weights.sum()) + _LEAST_MASS
    columns, rows = weights.sum(0) / mass, weights.sum(1) / mass
    x, y = (float(columns @ _PLACES), float(rows @ _PLACES)) if area else (0.5, 0.5)
    wide, high = _deviation(columns, _PLACES, x), _deviation(rows, _PLACES, y)
    middle = min(max(round(x * SIDE), 2), SIDE - 2)
    scaled = (gray - gray.mean()) / max(float(gray.std()), _LEAST_DEVIATION)
    left = _side(weights[:, :middle], _PLACES[:middle])
    right = _side(weights[:, middle:], _PLACES[middle:])
    balance = float(np.clip(np.log(left[0] / right[0]), -3, 3))
    shape = (
        *(area, doubt, doubt / np.sqrt(area + 0.01), float(lungs.max()), x, y, wide, high, left[1] - right[1]),
        *(left[2], right[2], left[3], right[3], left[2] / (left[3] + 0.01), right[2] / (right[3] + 0.01)),
        *(balance, abs(balance), abs(left[1] - right[1]), _mirrored_overlap(weights, middle)),
        float(columns[middle - 2 : middle + 2].mean() / (columns.max() + 1e-6)),
    )
    box = _span(y, high), _span(x, wide)
    looks = _looks(scaled, inside, box, middle)
    return np.array([*shape, *looks, *_grays(gray, scaled), *_levels(weights, middle, y, high)], np.float32)


def _deviation(shares: Numbers, places: Numbers, centre: float) -> float:
    return float(np.sqrt(shares @ (places - centre) ** 2 + 1e-6))


def _side(weights: Numbers, places: Numbers) -> tuple[float, float, float, float]:
    """Mass, centre's row, and the deviations by rows and by columns, of one side's lung."""
    mass = float(weights.sum()) + _LEAST_MASS
    rows, columns = weights.sum(1) / mass, weights.sum(0) / mass
    y, x = float(rows @ _PLACES), float(columns @ places)
    return mass, y, _deviation(rows, _PLACES, y), _deviation(columns, places, x)


def _halves(values: Numbers, middle: int) -> tuple[Numbers, Numbers]:
    """Equally wide parts left and right of a column, the left one mirrored."""
    reach = min(middle, SIDE - middle)
    return values[:, middle - reach : middle][:, ::-1], values[:, middle : middle + reach]


def _mirrored_overlap(weights: Numbers, middle: int) -> float:
    left, right = _halves(weights, middle)
    return float(np.minimum(left, right).sum() / (np.maximum(left, right).sum() + _LEAST_MASS))


def _span(centre: float, deviation: float) -> slice:
    first, last = int((centre - 2 * deviation) * SIDE), int((centre + 2 * deviation) * SIDE) + 1
    return slice(max(first, 0), min(last, SIDE))


def _looks(scaled: Numbers, inside: NDArray[np.bool_], box: tuple[slice, slice], middle: int) -> tuple[float, ...]:
    """How the lungs, what is around and what is between them differ in gray, and how alike both sides are."""
    lungs, around = scaled[inside], scaled[box][~inside[box]]
    lung = float(lungs.mean()) if len(lungs) else 0.0
    spread = float(lungs.std()) if len(lungs) else 0.0
    ground = float(around.mean()) if len(around) else 0.0
    between = float(scaled[box[0], max(middle - 4, 0) : middle + 4].mean()) if len(lungs) else 0.0
    left, right = _halves(scaled, middle)
    alike = ((left - left.mean()) * (right - right.mean())).mean() / (left.std() * right.std() + 0.05)
    return lung, spread, ground, between, ground - lung, between - lung, float(alike)


def _grays(gray: Numbers, scaled: Numbers) -> tuple[float, ...]:
    low, dark, lower, median, upper, bright, top = np.percentile(gray, (1, 5, 25, 50, 75, 95, 99)).tolist()
    span = max(bright - dark, 8)
    rough = float(np.abs(cv2.Laplacian(scaled, cv2.CV_32F)).mean())
    return low / 255, top / 255, (median - dark) / span, (upper - lower) / span, span / 255, rough


def _levels(weights: Numbers, middle: int, y: float, high: float) -> tuple[float, ...]:
    """Widths of the lungs and of the gap between them at the top, middle and bottom; they show which way is up."""
    widths, gaps = [], []
    for place in (y - 1.2 * high, y, y + 1.2 * high):
        row = weights[min(max(int(place * SIDE), 0), SIDE - 1)]
        widths.append(float(row.sum()) / SIDE)
        left, right = np.flatnonzero(row[:middle] > 0.5), np.flatnonzero(row[middle:] > 0.5)
        gaps.append(float(right[0] + middle - left[-1]) / SIDE if len(left) and len(right) else 0.0)
    return *widths, *gaps, widths[0] - widths[2], gaps[2] - gaps[0]
