"""Zone by zone: shares against the Brixia scores of two radiologists, and against drawn masks."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import cv2
import numpy as np
from scipy.stats import ConstantInputWarning, spearmanr
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from models.anatomy.lungs import MaskView, lungs_box, separate_lungs
from models.anatomy.severity import ZONES, zone_shares
from models.evaluation.agreement import Estimate, Numbers, interval
from models.evaluation.results import Result
from models.pack import Case
from models.workflow import GRID

AFFECTED_FROM: Final = 1.0
"""The radiologists call a zone affected when the mean of their Brixia scores (0..3) is at least this."""
EDGES: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
"""Edges of the bins of shares; a bin holds its lower edge."""
_WRONG_SIDES: Final = [3, 4, 5, 0, 1, 2]
_UPSIDE_DOWN: Final = [2, 1, 0, 5, 4, 3]


@dataclass(frozen=True)
class BrixiaAgreement:
    """Agreement of shares with the mean of two radiologists' zone scores.

    Attributes:
        right: Spearman's rank correlation over all zones, resampled by radiograph.
        wrong_sides, upside_down: controls: the same with the lungs exchanged, or each lung's zones upside down.
        lost_by_sides, lost_upside_down: how much lower the controls are.
        readers: rank correlation of the two radiologists; NaN where only one read.
        others: rank correlation of the pack's published shares, on the same radiographs where it has them.
        by_zone: rank correlation of each zone.
        kappa, sensitivity, specificity, area: of affected or not, by share over the threshold; area under the curve
            of shares at any threshold.
        readers_kappa: of affected or not between the radiologists.
        affected: share of zones that the radiologists call affected.
    """

    radiographs: int
    right: Estimate
    wrong_sides: Estimate
    upside_down: Estimate
    lost_by_sides: Estimate
    lost_upside_down: Estimate
    readers: float
    others: float
    by_zone: dict[str, float]
    kappa: float
    sensitivity: float
    specificity: float
    area: float
    readers_kappa: float
    affected: float

    @property
    def is_oriented(self) -> bool:
        """Whether left and right, top and bottom are as they should be: both controls are worse beyond chance."""
        return self.lost_by_sides.low > 0 and self.lost_upside_down.low > 0


@dataclass(frozen=True)
class Bin:
    """Zones whose shares lie between two edges.

    Attributes:
        found: their mean share.
        said: the mean of what people say of them.
    """

    count: int
    found: float
    said: float


def brixia_agreement(results: Sequence[Result], resamples: int, seed: int) -> BrixiaAgreement | None:
    """Agreement over the scored radiographs that have Brixia scores; None with fewer than three."""
    read = [result for result in results if result.case.brixia and result.score is not None]
    if len(read) < 3:
        return None
    shares = np.array([result.shares for result in read])
    said = np.array([np.mean(result.case.brixia, axis=0) for result in read])
    both = np.array([result.case.brixia for result in read if len(result.case.brixia) == 2])
    over = np.array([[share > result.threshold for share in result.shares] for result in read])
    truth = said >= AFFECTED_FROM
    turned = (list(range(len(ZONES))), _WRONG_SIDES, _UPSIDE_DOWN)

    def statistic(index: Numbers) -> Numbers:
        chosen = index.astype(np.intp)
        as_is, sides, down = (_rank(shares[chosen][:, order], said[chosen]) for order in turned)
        return np.array([as_is, sides, down, as_is - sides, as_is - down])

    rows = np.arange(len(read), dtype=np.float64)
    low, high = interval((rows,), statistic, resamples, seed, vectorized=False)
    estimates = [Estimate(*map(float, one)) for one in zip(statistic(rows), low, high, strict=True)]
    right, wrong_sides, upside_down, lost_by_sides, lost_upside_down = estimates
    return BrixiaAgreement(
        radiographs=len(read),
        right=right,
        wrong_sides=wrong_sides,
        upside_down=upside_down,
        lost_by_sides=lost_by_sides,
        lost_upside_down=lost_upside_down,
        readers=_rank(both[:, 0], both[:, 1]) if len(both) else nan,
        others=_published_rank([result for result in read if result.case.shares is not None]),
        by_zone={zone: _rank(shares[:, place], said[:, place]) for place, zone in enumerate(ZONES)},
        kappa=_kappa(truth, over),
        sensitivity=float(over[truth].mean()) if truth.any() else nan,
        specificity=float((~over[~truth]).mean()) if not truth.all() else nan,
        area=float(roc_auc_score(truth.ravel(), shares.ravel())) if 0 < truth.mean() < 1 else nan,
        readers_kappa=_kappa(both[:, 0] >= AFFECTED_FROM, both[:, 1] >= AFFECTED_FROM) if len(both) else nan,
        affected=float(truth.mean()),
    )


def _published_rank(read: Sequence[Result]) -> float:
    """The published networks' rank correlation; not a number without any."""
    if not read:
        return nan
    shares = np.array([result.case.shares for result in read])
    return _rank(shares, np.array([np.mean(result.case.brixia, axis=0) for result in read]))


def calibrated_by_brixia(results: Sequence[Result]) -> list[Bin]:
    """By bin of shares, how many of the zones the radiologists call affected."""
    read = [result for result in results if result.case.brixia and result.score is not None]
    pairs = [
        (share, float(score >= AFFECTED_FROM))
        for result in read
        for share, score in zip(result.shares, np.mean(result.case.brixia, axis=0), strict=True)
    ]
    return _bins(pairs)


def calibrated_by_masks(results: Sequence[Result]) -> list[Bin]:
    """By bin of shares, the share drawn as diseased, where the pack has lung and disease masks."""
    return _bins(share_pairs(results))


def share_pairs(results: Sequence[Result]) -> list[tuple[float, float]]:
    """For each zone the share that was found and the one that people drew."""
    pairs = []
    for result in results:
        if result.score is None or not (result.case.has_lungs and result.case.has_disease):
            continue
        drawn = drawn_shares(result.case)
        pairs += [(found, said) for found, said in zip(result.shares, drawn, strict=True) if np.isfinite(said)]
    return pairs


def drawn_shares(case: Case) -> tuple[float, ...]:
    """The shares of the zones that the drawn masks give by the workflow's own rules; NaN for a lung not drawn."""
    lungs = case.lungs
    box = lungs_box(lungs)
    if box is None:
        return (nan,) * len(ZONES)
    cut, disease = (_on_grid(mask[box.slices]) for mask in (lungs, case.disease))
    return zone_shares(separate_lungs(cut, "robust", MaskView(box, lungs.shape[1])), disease)


def _on_grid(mask: np.ndarray) -> np.ndarray:
    resized = cv2.resize(mask.astype(np.uint8), (GRID, GRID), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8).view(np.bool_)


def _bins(pairs: Sequence[tuple[float, float]]) -> list[Bin]:
    """The bins that hold a zone, by rising share."""
    if not pairs:
        return []
    found, said = np.array(pairs).T
    place = np.clip(np.searchsorted(EDGES, found, side="right") - 1, 0, len(EDGES) - 2)
    inside = [place == index for index in np.unique(place)]
    return [Bin(int(np.count_nonzero(one)), float(found[one].mean()), float(said[one].mean())) for one in inside]


def _rank(shares: Numbers, said: Numbers) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)  # a constant resample gives NaN
        return float(spearmanr(shares.ravel(), said.ravel()).statistic)


def _kappa(truth: np.ndarray, found: np.ndarray) -> float:
    if (truth.all() and found.all()) or not (truth.any() or found.any()):
        return nan
    return float(cohen_kappa_score(truth.ravel(), found.ravel()))
