"""Measures of radiographs, by whose distributions a site's radiographs can be compared with a reference."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np

from models.pixels import Mask, Pixels

Measures: TypeAlias = Mapping[str, float]
"""Measure -> value 0..1; one that a radiograph does not have is left out."""
Reference: TypeAlias = Mapping[str, Sequence[float]]
"""Measure -> the share of the reference's radiographs at or under each of ``EDGES``."""

LUNG_MEASURES: Final = ("brightness", "contrast", "aspect", "lung_area", "lung_brightness")
"""Known once stage I has answered, and kept in its card."""
DISEASE_MEASURES: Final = ("diseased_share",)
"""Known once stage II has answered, and kept in its card."""
EDGES: Final = tuple(step / 40 for step in range(1, 40))
"""Where distributions are compared; all measures lie in 0..1."""
DISTANCE_LIMIT: Final = 0.25
"""A distribution this far from the reference's, or farther, counts as different; figures in ``docs/models.md``."""
LEAST_COUNT: Final = 100
"""A distribution of fewer radiographs is not judged."""


def picture_measures(picture: Pixels, height: int, width: int) -> dict[str, float]:
    """Brightness (mean gray), contrast (deviation over the largest possible) and aspect (width over both sides' sum).

    Args:
        picture: uint8 [S, S], the radiograph as received, at stage I's input size.
        height, width: of the radiograph as received, pixels.
    """
    mean, deviation = (float(figure.item()) for figure in cv2.meanStdDev(picture))
    return {"brightness": mean / 255, "contrast": deviation / 127.5, "aspect": width / (width + height)}


def lung_measures(picture: Pixels, lungs: Mask) -> dict[str, float]:
    """The lungs' area over the picture's, and their mean gray where there are any.

    Args:
        picture: uint8 [S, S], the radiograph as received.
        lungs: bool [S, S], cleaned.
    """
    area = np.count_nonzero(lungs)
    found: dict[str, float] = {"lung_area": int(area) / lungs.size}
    if area:
        found["lung_brightness"] = float(cv2.mean(picture, lungs.view(np.uint8))[0]) / 255
    return found


def cumulative(values: Iterable[float]) -> tuple[float, ...]:
    """The share of values at or under each of ``EDGES``.

    Raises:
        ValueError: there are no values.
    """
    found = np.sort(np.fromiter(values, float))
    if not len(found):
        raise ValueError("expected values, found none")
    return tuple((np.searchsorted(found, EDGES, side="right") / len(found)).tolist())


def distance(first: Sequence[float], second: Sequence[float]) -> float:
    """The largest difference of two cumulative distributions (Kolmogorov and Smirnov), taken at ``EDGES``."""
    return float(np.abs(np.subtract(first, second)).max())


def reference(radiographs: Iterable[Measures]) -> dict[str, tuple[float, ...]]:
    """The distribution of each measure, rounded to 1e-4."""
    values: dict[str, list[float]] = {}
    for measures in radiographs:
        for name, value in measures.items():
            values.setdefault(name, []).append(value)
    return {name: tuple(round(share, 4) for share in cumulative(found)) for name, found in values.items()}
