"""The threshold over which a zone counts, chosen by trying all from 0 to 1 in steps of 0.01."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLDS: NDArray[np.float64] = np.arange(101) / 100


@dataclass(frozen=True, eq=False)
class Sweep:
    """Severity error by threshold.

    Attributes:
        errors: MAE at each of ``THRESHOLDS``, float64 [101].
    """

    errors: NDArray[np.float64]

    @property
    def best(self) -> float:
        """The threshold of the least error; the lowest of equal ones."""
        return float(THRESHOLDS[int(np.argmin(self.errors))])

    def at(self, threshold: float) -> float:
        """The error at one of ``THRESHOLDS``."""
        return float(self.errors[round(threshold * 100)])


def count_zones(shares: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Scores [N]: how many of each row's shares [N, 6] are strictly over the threshold."""
    return np.asarray(np.count_nonzero(np.asarray(shares, np.float64) > threshold, axis=1), np.int64)


def sweep(shares: ArrayLike, consensus: ArrayLike) -> Sweep:
    """Tries all thresholds on shares [N, 6] against the readers' consensus [N]."""
    wanted = np.asarray(consensus, np.float64)
    errors = [float(np.abs(count_zones(shares, threshold) - wanted).mean()) for threshold in THRESHOLDS]
    return Sweep(np.array(errors))
