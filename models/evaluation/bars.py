"""The table of the embedded default, with the bars it must reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from models.evaluation.groups import (
    BEDSIDE,
    CHILDREN,
    COVID,
    GROUPS,
    HEALTHY_ADULTS,
    MIXTURE,
    OPACITIES,
    OTHER,
    of_mixture,
)
from models.evaluation.ranges import Ranges, ranged
from models.evaluation.results import Result, area_under_curve, brixia_correlation, mean_absolute_error
from models.evaluation.tables import markdown

SYSTEMS = {"manet": "MA-Net (published)", "bsnet": "BS-Net", "covidnet": "COVID-Net-S"}


# What the embedded default must reach.
LUNGS_DICE: Final = 0.96
LUNGS_DICE_LOW: Final = 0.93
DISEASE_DICE: Final = 0.65
HEALTHY_ADULTS_MEAN: Final = 0.05
HEALTHY_ADULTS_OVER: Final = 0.04
BEDSIDE_MEAN: Final = 0.9
CHILDREN_MEAN: Final = 0.03
COVID_MAE: Final = 0.80
MIXTURE_MAE: Final = 0.34
AGAINST_NORMAL: Final = 0.95
AGAINST_OTHER: Final = 0.78
BRIXIA_CORRELATION: Final = 0.825
SCORED: Final = 0.985
CROSS_VALIDATED_COVID_MAE: Final = 0.84
CROSS_VALIDATED_MIXTURE_MAE: Final = 0.35

FALLEN_SHORT: Final = MappingProxyType(
    {
        "disease, mean Dice": 0.64,
        f"{HEALTHY_ADULTS}, mean score": 0.065,
        f"{HEALTHY_ADULTS}, part over 0": 0.041,
        f"{BEDSIDE}, mean score": 1.4,
        "severity MAE, the paper's mixture": 0.355,
        "severity MAE, COVID-19, cross-validated": 0.92,
        "severity MAE, the paper's mixture, cross-validated": 0.39,
    }
)
"""What is reached where the bar is not. No figure may get worse than this; once it reaches its bar, its line goes."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        role: the stage whose figure it is, or ``people`` for what it is compared with.
        count: radiographs behind it; with none there is no figure, and its bar does not apply.
        others: the same figure of published systems, on the same radiographs.
        limit: the figure must be at least this, or at most where ``lower_is_better``; None: no bar.
    """

    role: Literal["lungs", "disease", "people"]
    name: str
    value: float
    count: int
    limit: float | None = None
    lower_is_better: bool = False
    others: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the bar is reached, or does not apply; NaN never reaches one."""
        return self._reaches(self.limit)

    @property
    def holds(self) -> bool:
        """Whether the bar is reached, or else what ``FALLEN_SHORT`` has for it."""
        return self.met or self._reaches(FALLEN_SHORT.get(self.name, self.limit))

    @property
    def bar(self) -> str:
        """The bar as it is printed; empty where there is none."""
        return "" if self.limit is None else f"{'≤' if self.lower_is_better else '≥'} {self.limit:.4g}"

    @property
    def verdict(self) -> str:
        """How the figure compares with its bar, in a word or two; empty without a bar."""
        if self.limit is None:
            return ""
        return "not applicable" if not self.count else "met" if self.met else "missed" if self.holds else "WORSE"

    def _reaches(self, limit: float | None) -> bool:
        if limit is None or not self.count:
            return True
        return self.value <= limit if self.lower_is_better else self.value >= limit


def figures(results: Sequence[Result]) -> list[Figure]:
    """The table of the embedded default, with the bars it must reach."""
    lungs = [result.lung_dice for result in results if result.lung_dice is not None]
    disease = [result.disease_dice for result in results if result.disease_dice is not None]
    groups = {name: [result for result in results if keep(result.case)] for name, keep in GROUPS.items()}
    scored = np.mean([result.score is not None for result in results]) if results else nan
    return [
        Figure("lungs", "lungs, mean Dice", _mean(lungs), len(lungs), LUNGS_DICE),
        Figure("lungs", "lungs, 5th percentile of Dice", _percentile(lungs, 5), len(lungs), LUNGS_DICE_LOW),
        Figure("disease", "disease, mean Dice", _mean(disease), len(disease), DISEASE_DICE),
        *_healthy(groups[HEALTHY_ADULTS]),
        _mean_score(BEDSIDE, groups[BEDSIDE], BEDSIDE_MEAN),
        _mean_score(CHILDREN, groups[CHILDREN], CHILDREN_MEAN),
        _apart("adult normals", groups[OPACITIES], groups[HEALTHY_ADULTS], AGAINST_NORMAL),
        _apart(OTHER, groups[OPACITIES], groups[OTHER], AGAINST_OTHER),
        _severity(f"severity MAE, {COVID}", groups[COVID], COVID_MAE),
        _mixture(groups),
        Figure("people", f"readers' disagreement, {COVID}", *_disagreement(groups[COVID])),
        *_range_figures(Ranges.of(ranged(groups[COVID]))),
        Figure("disease", "zone share against Brixia, rank correlation", *_brixia(results), BRIXIA_CORRELATION),
        Figure("lungs", "share of radiographs scored", float(scored), len(results), SCORED),
    ]


def cross_validated(metrics: Mapping[str, Any]) -> list[Figure]:
    """Figures that the disease card keeps of the cross-validation by patient that chose its operating point.

    Args:
        metrics: the card's.
    """
    kept = metrics.get("cross_validation")
    if kept is None or "counts" not in kept:
        # The card has none, or one of an older kind.
        return []
    counts = kept["counts"]
    mixed = sum(counts[group] for group in MIXTURE)
    lines = [
        ("severity MAE, COVID-19", kept["covid"], counts[COVID], CROSS_VALIDATED_COVID_MAE),
        ("severity MAE, the paper's mixture", kept["mixture"], mixed, CROSS_VALIDATED_MIXTURE_MAE),
        ("healthy adults, mean score", kept["adults"], counts[HEALTHY_ADULTS], None),
        ("healthy adults, part over 0", kept["adults_over"], counts[HEALTHY_ADULTS], None),
        (f"{BEDSIDE}, mean score", kept["bedside"], counts[BEDSIDE], None),
    ]
    return [
        *(
            Figure("disease", f"{name}, cross-validated", value, count, limit, lower_is_better=True)
            for name, value, count, limit in lines
        ),
        Figure("disease", "disease, mean Dice, cross-validated", kept["dice"], kept["masked"]),
    ]


def table(lines: Sequence[Figure]) -> str:
    """Markdown, with a column for each published system that has figures."""
    header = ["figure", "n", "found", *SYSTEMS.values(), "bar", ""]
    rows = []
    for line in lines:
        others = [f"{line.others[name]:.3f}" if name in line.others else "" for name in SYSTEMS]
        value = f"{line.value:.3f}" if line.count else ""
        rows.append([line.name, str(line.count), value, *others, line.bar, line.verdict])
    return markdown(header, rows)


def _healthy(results: Sequence[Result]) -> list[Figure]:
    scores = [result.score for result in results if result.score is not None]
    over = _mean([float(score > 0) for score in scores])
    return [
        _mean_score(HEALTHY_ADULTS, results, HEALTHY_ADULTS_MEAN),
        Figure("disease", f"{HEALTHY_ADULTS}, part over 0", over, len(scores), HEALTHY_ADULTS_OVER, True),
    ]


def _mean_score(name: str, results: Sequence[Result], limit: float) -> Figure:
    scores = [float(result.score) for result in results if result.score is not None]
    return Figure("disease", f"{name}, mean score", _mean(scores), len(scores), limit, True)


def _apart(name: str, opacities: Sequence[Result], others: Sequence[Result], limit: float) -> Figure:
    """How well the diseased share separates opacities from radiographs of another group."""
    shares = [[one.diseased_share for one in group if one.diseased_share is not None] for group in (opacities, others)]
    count = sum(map(len, shares)) if all(shares) else 0
    return Figure("disease", f"opacities against {name}, AUC", area_under_curve(*shares), count, limit)


def _mixture(groups: Mapping[str, Sequence[Result]]) -> Figure:
    errors = {group: mean_absolute_error(groups[group]) for group in MIXTURE}
    count = 0 if any(isnan(error) for error in errors.values()) else sum(len(groups[group]) for group in MIXTURE)
    return Figure("disease", "severity MAE, the paper's mixture", of_mixture(errors), count, MIXTURE_MAE, True)


def _brixia(results: Sequence[Result]) -> tuple[float, int]:
    correlation, zones = brixia_correlation(results)
    return correlation, 0 if isnan(correlation) else zones


def _severity(name: str, results: Sequence[Result], limit: float | None) -> Figure:
    others = {}
    for system in SYSTEMS:
        errors = [
            abs(dict(result.case.published)[system] - result.case.score)
            for result in results
            # On the same radiographs: where ours has no score, theirs does not count.
            if result.score is not None and result.case.score is not None and system in dict(result.case.published)
        ]
        if errors:
            others[system] = _mean(errors)
    return Figure(
        "disease", name, mean_absolute_error(results), len(results), limit, lower_is_better=True, others=others
    )


def _range_figures(found: Ranges) -> list[Figure]:
    if not found.count:
        return []
    return [
        Figure("disease", "range of scores holds the readers' score, COVID-19", found.held, found.count),
        Figure("disease", "range of scores, mean width, COVID-19", found.width, found.count),
    ]


def _disagreement(results: Sequence[Result]) -> tuple[float, int]:
    pairs = [result.case.readers for result in results if len(result.case.readers) == 2]
    return _mean([abs(first - second) for first, second in pairs]), len(pairs)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else nan


def _percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else nan
