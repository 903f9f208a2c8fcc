"""How well scores agree with a reference, each figure with its bootstrap interval."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import DegenerateDataWarning, bootstrap
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

Numbers: TypeAlias = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
LIMIT_DEVIATIONS = 1.96


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; NaN where it is not defined (a reference that never changes has no R²)."""

    value: float
    low: float = nan
    high: float = nan

    def text(self, digits: int = 2) -> str:
        """``0.30 (0.21 to 0.39)``, or a dash."""
        if not isfinite(self.value):
            return "–"
        # Adding 0 turns -0 into 0.
        value, low, high = (f"{round(number, digits) + 0:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})" if isfinite(self.low) else value


@dataclass(frozen=True)
class Agreement:
    """How well scores agree with a reference.

    Attributes:
        kappa: Cohen's, with quadratic weights (Cohen 1968). It needs no classes: on any scale of equal steps it is
            1 - E(a-b)² / E(a-b)² of the same scores paired at random (Fleiss and Cohen 1973).
        bias, lower, upper: mean difference score - reference and the limits of agreement, 1.96 standard
            deviations to each side (Bland and Altman 1986).
    """

    count: int
    mae: Estimate
    rmse: Estimate
    r2: Estimate
    kappa: Estimate
    bias: Estimate
    lower: Estimate
    upper: Estimate


def agreement(scores: ArrayLike, reference: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Agreement:
    """Compares scores [N] with a reference [N]; pairs with a NaN are left out.

    Intervals are percentiles over resamples of the pairs, drawn with ``seed``.
    """
    pairs = np.stack([np.asarray(scores, np.float64), np.asarray(reference, np.float64)])
    found, wanted = pairs[:, np.isfinite(pairs).all(axis=0)]
    if len(found) < 2:
        values = _figures(found, wanted) if len(found) else np.full(7, nan)
        return Agreement(len(found), *(Estimate(float(value)) for value in values))
    columns = zip(_figures(found, wanted), *interval((found, wanted), _figures, resamples, seed), strict=True)
    return Agreement(len(found), *(Estimate(*map(float, column)) for column in columns))


def mean_estimate(values: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean of values [N] with its bootstrap interval."""
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return Estimate(float(found[0]) if len(found) else nan)
    low, high = interval((found,), np.mean, resamples, seed)
    return Estimate(float(found.mean()), float(low), float(high))


def interval(
    data: tuple[Numbers, ...],
    statistic: Callable[..., Any],
    resamples: int = RESAMPLES,
    seed: int = 0,
    vectorized: bool = True,
) -> tuple[Any, Any]:
    """The 95 % percentile interval of a statistic over resamples of the rows that all of ``data`` [N] share.

    Args:
        statistic: of arrays [..., N] along ``axis``, or of arrays [N] where not ``vectorized``; its answer may have
            axes of its own in front.
    """
    with warnings.catch_warnings():
        # If no resample changes or defines a figure, both limits are that value, or NaN.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            data,
            statistic,
            paired=len(data) > 1,
            vectorized=vectorized,
            n_resamples=resamples,
            method="percentile",
            confidence_level=CONFIDENCE,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return found.low, found.high


def _figures(scores: Numbers, reference: Numbers, axis: int = -1) -> Numbers:
    """Figures [7] of pairs [N], or [7, B] of B resamples [B, N]; the libraries take means over the first axis."""
    found, wanted = (np.moveaxis(np.atleast_2d(values), axis, 0) for values in (scores, reference))
    difference = found - wanted
    bias = difference.mean(axis=0)
    spread = LIMIT_DEVIATIONS * _deviation(difference)
    columns = np.stack(
        [
            mean_absolute_error(wanted, found, multioutput="raw_values"),
            root_mean_squared_error(wanted, found, multioutput="raw_values"),
            _r2(found, wanted),
            _kappa(found, wanted),
            bias,
            bias - spread,
            bias + spread,
        ]
    )
    return np.asarray(columns if np.ndim(scores) > 1 else columns[:, 0], np.float64)


def _r2(found: Numbers, wanted: Numbers) -> Numbers:
    constant = wanted.std(axis=0) == 0
    if len(wanted) < 2 or constant.all():
        return np.full(wanted.shape[1], nan)
    return np.where(constant, nan, r2_score(wanted, found, multioutput="raw_values"))


def _kappa(found: Numbers, wanted: Numbers) -> Numbers:
    seen = np.mean((found - wanted) ** 2, axis=0)
    by_chance = found.var(axis=0) + wanted.var(axis=0) + (found.mean(axis=0) - wanted.mean(axis=0)) ** 2
    ratio = np.divide(seen, by_chance, out=np.full_like(seen, nan), where=by_chance > 0)
    return np.asarray(1 - ratio, np.float64)


def _deviation(difference: Numbers) -> Numbers:
    if len(difference) < 2:
        return np.full(difference.shape[1], nan)
    return np.asarray(difference.std(axis=0, ddof=1), np.float64)
