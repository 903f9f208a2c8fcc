"""The result for each case of a radiograph pack, compared with what people drew and scored."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import nan
from typing import Protocol

import numpy as np

from models.pack import Case
from models.pixels import Mask


class Analysed(Protocol):
    """What is judged: ``models.workflow.Analysis``, or what a running service answered."""

    @property
    def score(self) -> int | None: ...

    @property
    def shares(self) -> tuple[float, ...]: ...

    @property
    def diseased_share(self) -> float | None: ...

    @property
    def threshold(self) -> float: ...

    @property
    def flags(self) -> tuple[str, ...]: ...

    @property
    def score_range(self) -> tuple[int, int] | None: ...

    @property
    def lungs(self) -> Mask: ...

    @property
    def disease(self) -> Mask: ...


@dataclass(frozen=True)
class Result:
    """The result for one case; the masks themselves are not kept.

    Attributes:
        shares: in the reference's order; NaN where a lung was not found.
        lung_dice, disease_dice: against the drawn masks; None where there is none.
        threshold: a zone counted if its share was above it.
        score_range: lowest and highest score; None if it was not measured, or without a score.
        diseased_share: diseased part of the lungs; None where no lung was found.
    """

    case: Case
    score: int | None
    shares: tuple[float, ...]
    lung_dice: float | None
    disease_dice: float | None
    threshold: float = nan
    flags: tuple[str, ...] = ()
    score_range: tuple[int, int] | None = None
    diseased_share: float | None = None


def judge(case: Case, analysis: Analysed) -> Result:
    """Compares one analysis with what people drew."""
    return Result(
        case=case,
        score=analysis.score,
        shares=analysis.shares,
        lung_dice=dice(analysis.lungs, case.lungs) if case.has_lungs else None,
        disease_dice=dice(analysis.disease, case.disease) if case.has_disease and case.disease.any() else None,
        threshold=analysis.threshold,
        flags=analysis.flags,
        score_range=analysis.score_range,
        diseased_share=analysis.diseased_share,
    )


def evaluate(analyse: Callable[[Case], Analysed], cases: Iterable[Case], workers: int = 1) -> list[Result]:
    """Runs every case once, up to ``workers`` at a time; results in the order of the cases."""
    if workers == 1:
        return [judge(case, analyse(case)) for case in cases]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda case: judge(case, analyse(case)), cases))


def dice(found: Mask, drawn: Mask) -> float:
    """Dice coefficient of two masks bool [H, W]; 1 where both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(drawn)
    return float(2 * np.count_nonzero(found & drawn) / total) if total else 1.0


def mean_absolute_error(results: Iterable[Result]) -> float:
    """The score's mean absolute error against the readers' consensus, over results with both; NaN if none has."""
    errors = [
        abs(result.score - result.case.score)
        for result in results
        if result.score is not None and result.case.score is not None
    ]
    return float(np.mean(errors)) if errors else nan


def brixia_correlation(results: Iterable[Result]) -> tuple[float, int]:
    """Spearman's rank correlation of zone share and mean Brixia zone score, and the number of zones.

    It falls when left and right, or top and bottom, are mixed up.
    """
    pairs = [
        pair
        for result in results
        if result.case.brixia and result.score is not None
        for pair in zip(result.shares, np.mean(result.case.brixia, axis=0), strict=True)
    ]
    if len(pairs) < 3:
        return nan, len(pairs)
    shares, scores = (_ranks(np.array(column)) for column in zip(*pairs, strict=True))
    return float(np.corrcoef(shares, scores)[0, 1]), len(pairs)


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How often a value of ``positive`` is above one of ``negative``, ties counted half; NaN if either is empty.

    It is the area under the receiver operating characteristic.
    """
    if not positive or not negative:
        return nan
    ranks = _ranks(np.array([*positive, *negative], dtype=float))[: len(positive)]
    least = (len(positive) + 1) / 2
    return float((ranks.mean() - least) / len(negative))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks with ties averaged."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    averaged: np.ndarray = (last - (counts - 1) / 2)[inverse]
    return averaged
