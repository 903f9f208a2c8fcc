"""Whether weights are as good in another number format: compares their figures against people with float32's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np

from models.evaluation.bars import Figure
from models.evaluation.results import Result

ALLOWED: Final[Mapping[str, float]] = {
    "severity MAE, COVID-19": 0.02,
    "severity MAE, the paper's mixture": 0.02,
    "healthy adults, mean score": 0.02,
    "disease, mean Dice": 0.005,
    "lungs, mean Dice": 0.005,
}
"""By how much a figure may be worse than in float32."""


@dataclass(frozen=True)
class Difference:
    """What a number format changes.

    Attributes:
        count: radiographs.
        scores: how many have another score.
        median, most: the median and 95th percentile, over radiographs, of the largest move of a share.
        worse: the figures of ``ALLOWED`` that are worse by more than is allowed.
    """

    count: int
    scores: int
    median: float
    most: float
    worse: tuple[str, ...]


def compare(
    exact: tuple[Sequence[Result], Sequence[Figure]], other: tuple[Sequence[Result], Sequence[Figure]]
) -> Difference:
    """Compares one format's results and figures with those in float32, of the same radiographs in the same order."""
    pairs = list(zip(exact[0], other[0], strict=True))
    moves = [np.abs(np.subtract(one.shares, two.shares)) for one, two in pairs]
    largest = [float(np.nanmax(move)) for move in moves if not np.isnan(move).all()]
    before = {line.name: line for line in exact[1]}
    return Difference(
        count=len(pairs),
        scores=sum(one.score != two.score for one, two in pairs),
        median=float(np.median(largest)),
        most=float(np.quantile(largest, 0.95)),
        worse=tuple(line.name for line in other[1] if line.name in ALLOWED and _is_worse(before[line.name], line)),
    )


def _is_worse(before: Figure, after: Figure) -> bool:
    change = after.value - before.value if after.lower_is_better else before.value - after.value
    return not isnan(change) and change > ALLOWED[after.name]
