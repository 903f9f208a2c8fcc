"""Ranges of scores compared with the readers' consensus."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, nan

import numpy as np

from models.evaluation.results import Result


@dataclass(frozen=True, slots=True)
class Ranged:
    """One radiograph: its score, the range around that, and the readers' consensus."""

    score: int
    least: int
    most: int
    consensus: float

    @property
    def holds(self) -> bool:
        """Whether the consensus lies in the range; one between two scores may be rounded either way."""
        return any(self.least <= whole <= self.most for whole in (floor(self.consensus), ceil(self.consensus)))

    @property
    def width(self) -> int:
        """The range's width; 0 if it is the score alone."""
        return self.most - self.least

    @property
    def error(self) -> float:
        """The score's absolute error."""
        return abs(self.score - self.consensus)


@dataclass(frozen=True)
class Ranges:
    """Figures over many radiographs.

    Attributes:
        count: radiographs with a range and a consensus.
        held: share of them whose range holds the consensus; NaN without any.
        width: mean width.
        narrow_error, wide_error: mean absolute error of the score where the range is at most one wide, and where it is
            wider; NaN where there is no such radiograph.
    """

    count: int
    held: float
    width: float
    narrow_error: float
    wide_error: float

    @classmethod
    def of(cls, items: Sequence[Ranged]) -> "Ranges":
        return cls(
            count=len(items),
            held=_mean(item.holds for item in items),
            width=_mean(item.width for item in items),
            narrow_error=_mean(item.error for item in items if item.width <= 1),
            wide_error=_mean(item.error for item in items if item.width > 1),
        )


def ranged(results: Iterable[Result]) -> list[Ranged]:
    """Those of the results that have a score, a range and a consensus."""
    return [
        Ranged(result.score, *result.score_range, result.case.score)
        for result in results
        if result.score is not None and result.score_range is not None and result.case.score is not None
    ]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else nan
