"""The acceptance kit: judges a service or a pair of weights on a radiograph pack."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from models.evaluation.agreement import Agreement, Estimate, agreement, mean_estimate
from models.evaluation.bars import SYSTEMS, Figure, figures
from models.evaluation.bars import table as bars_table
from models.evaluation.groups import GROUPS
from models.evaluation.ranges import Ranges, ranged
from models.evaluation.results import Result, evaluate
from models.evaluation.subjects import Subject
from models.evaluation.tables import markdown
from models.evaluation.zones import (
    Bin,
    BrixiaAgreement,
    brixia_agreement,
    calibrated_by_brixia,
    calibrated_by_masks,
    share_pairs,
)
from models.pack import Case

_SCORED: Final[Mapping[str, Callable[[Case], bool]]] = {
    "all scored by readers": lambda case: case.score is not None,
    **GROUPS,
}
_KINDS: Final[Mapping[str, Callable[[Case], str]]] = {
    "view": lambda case: case.view,
    "source": lambda case: case.source,
    "label": lambda case: case.label,
    "age group": lambda case: case.age_group,
}

NO_SCORES: Final = "No radiograph has a reader's score: the table's column score (0 to 6) is missing or empty."


@dataclass(frozen=True)
class Overlap:
    """Dice of found and drawn masks.

    Attributes:
        low: 5th percentile.
    """

    count: int
    mean: Estimate
    low: float


@dataclass(frozen=True)
class Subgroup:
    """The radiographs of one kind.

    Attributes:
        scored: share of them that got a score.
        mean_score, over: mean of those scores, and the part of them over 0.
        mae: mean absolute error of the score against the readers' consensus, over those that have both.
        lungs, disease: mean Dice.
    """

    name: str
    count: int
    scored: float
    mean_score: float
    over: float
    mae: Estimate
    lungs: float
    disease: float


@dataclass(frozen=True)
class Acceptance:
    """All figures of the report.

    Attributes:
        severity: agreement of score and consensus by group.
        bars: figures that the embedded default must reach.
        systems: agreement of published systems, on the COVID-19 radiographs that got a score.
        readers: agreement of the second reader with the first, on COVID-19 radiographs both read.
        ranges: figures of the ranges of scores, on the COVID-19 radiographs.
        lungs, disease: None without drawn masks.
        brixia: None without Brixia scores.
        by_brixia, by_masks: calibration of the shares.
        shares: agreement of found and drawn shares, zone by zone.
        subgroups: by kind.
        flags: how often each was raised.
    """

    split: str
    results: tuple[Result, ...]
    bars: Sequence[Figure]
    severity: Mapping[str, Agreement]
    systems: Mapping[str, Agreement]
    readers: Agreement
    ranges: Ranges
    lungs: Overlap | None
    disease: Overlap | None
    brixia: BrixiaAgreement | None
    by_brixia: Sequence[Bin]
    by_masks: Sequence[Bin]
    shares: Agreement
    subgroups: Mapping[str, Sequence[Subgroup]]
    flags: Mapping[str, int]

    @property
    def passes(self) -> bool:
        """Whether every figure reaches its bar, or what is known to be reached instead."""
        return all(line.holds for line in self.bars)

    @property
    def verdict(self) -> str:
        """A sentence on the bars as a whole."""
        judged = [line for line in self.bars if line.limit is not None]
        applicable = [line for line in judged if line.count]
        if behind := [line.name for line in applicable if not line.holds]:
            return f"Failed: {', '.join(behind)}."
        return (
            f"Passed: {len(applicable)} of {len(judged)} bars apply to these radiographs, and no figure falls behind "
            "what the embedded default reaches on radiographs that it was not trained on."
        )

    @property
    def scored(self) -> float:
        """Share of radiographs that got a score."""
        return _scored(self.results)

    def worst(self, count: int) -> list[tuple[Result, str]]:
        """The cases to look at first, each with what is wrong: unscored ones, then the largest errors of the score,
        then the smallest overlaps with drawn masks."""
        unscored = [(result, "no score") for result in self.results if result.score is None]
        errors = sorted(self.results, key=lambda result: -_error(result))
        wrong = [(result, f"score off by {_error(result):g}") for result in errors if _error(result) >= 1]
        by_lungs = sorted(
            (one for one in self.results if one.lung_dice is not None), key=lambda one: one.lung_dice or 0
        )
        poor = [(result, f"lung Dice {result.lung_dice:.2f}") for result in by_lungs]
        third = max(1, count // 3)
        chosen: dict[str, tuple[Result, str]] = {}
        for kind, share in ((unscored, third), (wrong, 2 * third), (poor, count)):
            for result, why in kind[:share]:
                if len(chosen) < count:
                    chosen.setdefault(result.case.id, (result, why))
        return list(chosen.values())


def accept(subject: Subject, cases: Sequence[Case], split: str, resamples: int, seed: int) -> Acceptance:
    """Analyses every case once and computes all figures."""
    results = tuple(evaluate(subject.analyse, cases, subject.parallel))
    covid = [result for result in results if result.case.is_scored_covid]
    pairs = [result.case.readers for result in covid if len(result.case.readers) == 2]
    found, said = zip(*share_pairs(results), strict=True) if share_pairs(results) else ((), ())
    groups = {name: [result for result in results if keep(result.case)] for name, keep in _SCORED.items()}
    severity = {name: _severity(group, resamples, seed) for name, group in groups.items()}
    return Acceptance(
        split=split,
        results=results,
        bars=figures(results),
        severity={name: one for name, one in severity.items() if one.count},
        systems=_systems([result for result in covid if result.score is not None], resamples, seed),
        readers=agreement([pair[1] for pair in pairs], [pair[0] for pair in pairs], resamples, seed),
        ranges=Ranges.of(ranged(covid)),
        lungs=_overlap([one.lung_dice for one in results if one.lung_dice is not None], resamples, seed),
        disease=_overlap([one.disease_dice for one in results if one.disease_dice is not None], resamples, seed),
        brixia=brixia_agreement(results, resamples, seed),
        by_brixia=calibrated_by_brixia(results),
        by_masks=calibrated_by_masks(results),
        shares=agreement(found, said, resamples, seed),
        subgroups={
            "group": [_subgroup(name, groups[name], resamples, seed) for name in GROUPS if groups[name]],
            **{kind: _subgroups(results, of, resamples, seed) for kind, of in _KINDS.items()},
        },
        flags=Counter(flag for result in results for flag in result.flags),
    )


def score_counts(results: Sequence[Result]) -> np.ndarray:
    """How many radiographs have each score 0..6 and each consensus in half points: int [7, 13]."""
    counts = np.zeros((7, 13), np.int64)
    for result in results:
        if result.score is not None and result.case.score is not None:
            counts[result.score, round(2 * result.case.score)] += 1
    return counts


def summary(found: Acceptance) -> str:
    """Markdown: the bars and their verdict, the few lines for a terminal, then the groups, views and sources."""
    lines = [(f"severity MAE, {name}", str(one.count), one.mae.text(3)) for name, one in found.severity.items()]
    if found.readers.count:
        lines.append(("two readers' disagreement, COVID-19", str(found.readers.count), found.readers.mae.text(3)))
    if found.ranges.count:
        held = ("range of scores holds the consensus, COVID-19", str(found.ranges.count), f"{found.ranges.held:.3f}")
        lines.append(held)
    for name, overlap in (("lungs", found.lungs), ("disease", found.disease)):
        if overlap is not None:
            lines.append((f"{name}, mean Dice", str(overlap.count), overlap.mean.text(3)))
    if found.brixia is not None:
        radiographs = str(found.brixia.radiographs)
        lines += [
            ("zone share against Brixia, rank correlation", radiographs, found.brixia.right.text()),
            ("control: wrong sides", radiographs, found.brixia.wrong_sides.text()),
            ("control: upside down", radiographs, found.brixia.upside_down.text()),
        ]
    lines.append(("share of radiographs scored", str(len(found.results)), f"{found.scored:.3f}"))
    tables = [bars_table(found.bars), found.verdict]
    if not found.severity:
        tables.append(NO_SCORES)
    tables.append(markdown(("figure", "n", "value, 95 % interval"), lines))
    for kind in ("group", "view", "source"):
        rows = [(one.name, str(one.count), *_rates(one), one.mae.text()) for one in found.subgroups[kind]]
        if not rows:
            continue
        tables.append(markdown((kind, "n", "scored", "mean score", "over 0", "severity MAE"), rows))
    return "\n\n".join(tables)


def _rates(one: Subgroup) -> tuple[str, str, str]:
    rates = (f"{one.scored:.3f}", f"{one.mean_score:.2f}", f"{one.over:.3f}")
    return rates if one.scored else (rates[0], "–", "–")


def _severity(results: Sequence[Result], resamples: int, seed: int) -> Agreement:
    scores = [nan if result.score is None else result.score for result in results]
    consensus = [nan if result.case.score is None else result.case.score for result in results]
    return agreement(scores, consensus, resamples, seed)


def _systems(results: Sequence[Result], resamples: int, seed: int) -> dict[str, Agreement]:
    found = {}
    for column, name in SYSTEMS.items():
        said = [(dict(one.case.published)[column], one.case) for one in results if column in dict(one.case.published)]
        if said:
            consensus = [nan if case.score is None else case.score for _, case in said]
            found[name] = agreement([score for score, _ in said], consensus, resamples, seed)
    return found


def _overlap(values: Sequence[float], resamples: int, seed: int) -> Overlap | None:
    if not values:
        return None
    return Overlap(len(values), mean_estimate(values, resamples, seed), float(np.percentile(values, 5)))


def _subgroups(results: Sequence[Result], of: Callable[[Case], str], resamples: int, seed: int) -> list[Subgroup]:
    """Subgroups, the largest first; radiographs without a record form one as well."""
    counts = Counter(of(result.case) for result in results)
    return [
        _subgroup(name or "not recorded", [one for one in results if of(one.case) == name], resamples, seed)
        for name, _ in counts.most_common()
    ]


def _subgroup(name: str, results: Sequence[Result], resamples: int, seed: int) -> Subgroup:
    scores = [result.score for result in results if result.score is not None]
    lungs = [result.lung_dice for result in results if result.lung_dice is not None]
    disease = [result.disease_dice for result in results if result.disease_dice is not None]
    return Subgroup(
        name=name,
        count=len(results),
        scored=_scored(results),
        mean_score=_mean(scores),
        over=_mean([score > 0 for score in scores]),
        mae=_severity(results, resamples, seed).mae,
        lungs=_mean(lungs),
        disease=_mean(disease),
    )


def _scored(results: Sequence[Result]) -> float:
    return _mean([result.score is not None for result in results])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else nan


def _error(result: Result) -> float:
    if result.score is None or result.case.score is None:
        return 0.0
    return abs(result.score - result.case.score)
