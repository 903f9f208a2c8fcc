"""The table of the embedded default, with the bars it must reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal

import numpy as np

from models.evaluation.ranges import Ranges, ranged
from models.evaluation.results import Result, brixia_correlation, mean_absolute_error
from models.evaluation.tables import markdown

SYSTEMS = {"manet": "MA-Net (published)", "bsnet": "BS-Net", "covidnet": "COVID-Net-S"}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        role: the stage whose figure it is, or ``people`` for what it is compared with.
        others: the same figure of published systems.
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
        """Whether the bar is reached; NaN never reaches one."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.lower_is_better else self.value >= self.limit


def figures(results: Sequence[Result]) -> list[Figure]:
    """The table of the embedded default, with the bars it must reach."""
    lungs = [result.lung_dice for result in results if result.lung_dice is not None]
    disease = [result.disease_dice for result in results if result.disease_dice is not None]
    covid = [result for result in results if result.case.is_scored_covid]
    normal = [result for result in results if result.case.is_normal]
    adult = [result for result in results if result.case.is_adult_normal]
    scored = np.mean([result.score is not None for result in results]) if results else nan
    return [
        Figure("lungs", "lungs, mean Dice", _mean(lungs), len(lungs), 0.96),
        Figure("lungs", "lungs, 5th percentile of Dice", _percentile(lungs, 5), len(lungs), 0.93),
        Figure("disease", "disease, mean Dice", _mean(disease), len(disease), 0.68),
        _severity("severity MAE, COVID-19", covid, 0.80),
        _severity("severity MAE, normals", normal, 0.03),
        _severity("severity MAE, adult normals", adult, 0.25),
        Figure("people", "readers' disagreement, COVID-19", *_disagreement(covid)),
        *_range_figures(Ranges.of(ranged(covid))),
        Figure("disease", "zone share against Brixia, rank correlation", *brixia_correlation(results)),
        Figure("lungs", "share of radiographs scored", float(scored), len(results), 0.97),
    ]


def cross_validated(metrics: Mapping[str, Any], adults: int) -> list[Figure]:
    """What the disease card keeps of the cross-validation by patient that chose its operating point.

    Args:
        metrics: of the card.
        adults: adult normals in the pack.
    """
    kept = metrics.get("cross_validation")
    if kept is None:
        return []
    return [
        Figure("disease", "severity MAE, COVID-19, cross-validated", kept["covid"], kept["scored"], 0.849, True),
        Figure("disease", "severity MAE, adult normals, cross-validated", kept["adults"], adults, 0.5, True),
        Figure("disease", "disease, mean Dice, cross-validated", kept["dice"], kept["masked"]),
    ]


def table(lines: Sequence[Figure]) -> str:
    """Markdown, with a column for each published system that has figures."""
    header = ["figure", "n", "embedded default", *SYSTEMS.values(), "bar", ""]
    rows = []
    for line in lines:
        bar = "" if line.limit is None else f"{'≤' if line.lower_is_better else '≥'} {line.limit:.4g}"
        verdict = "" if line.limit is None else "met" if line.met else "MISSED"
        others = [f"{line.others[name]:.3f}" if name in line.others else "" for name in SYSTEMS]
        rows.append([line.name, str(line.count), f"{line.value:.3f}", *others, bar, verdict])
    return markdown(header, rows)


def _severity(name: str, results: Sequence[Result], limit: float | None) -> Figure:
    others = {}
    for system in SYSTEMS:
        errors = [
            abs(dict(result.case.published)[system] - result.case.score)
            for result in results
            if result.case.score is not None and system in dict(result.case.published)
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
