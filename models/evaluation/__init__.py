"""Figures of the workflow against people and published systems.

The names below need no further package; ``python -m models.evaluation`` and its modules need the extra ``evaluation``.
"""

from models.evaluation.bars import SYSTEMS, Figure, cross_validated, figures, table
from models.evaluation.results import (
    Analysed,
    Result,
    area_under_curve,
    brixia_correlation,
    dice,
    evaluate,
    judge,
    mean_absolute_error,
)

__all__ = [
    "SYSTEMS",
    "Analysed",
    "Figure",
    "Result",
    "area_under_curve",
    "brixia_correlation",
    "cross_validated",
    "dice",
    "evaluate",
    "figures",
    "judge",
    "mean_absolute_error",
    "table",
]
