"""Chooses on held-out radiographs how wide the intervals of shares and scores have to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from models.anatomy.uncertainty import SpreadRule
from models.evaluation.groups import CHILDREN, GROUPS, HEALTHY_ADULTS
from models.evaluation.ranges import Ranged, Ranges
from models.training.crossvalidation import Choice, HeldOut

COVERAGE = 0.9
_STEPS = tuple(step / 4 for step in range(1, 13))


@dataclass(frozen=True)
class SpreadChoice:
    """The chosen intervals and their figures on radiographs that had no part in the choice.

    Attributes:
        rule: for the card; its coverage is ``covered``.
        covered: share of scored COVID-19 radiographs whose range holds the readers' consensus, rounded up or down, with
            the rule chosen on the other folds.
        covered_adults, covered_children: the same for healthy adults and for healthy children.
        width: mean width of the range of scores on these COVID-19 radiographs.
        narrow_error, wide_error: mean absolute error of the score where the range is at most one wide, and where it is
            wider.
    """

    rule: SpreadRule
    covered: float
    covered_adults: float
    covered_children: float
    width: float
    narrow_error: float
    wide_error: float


def choose_spread(held_out: Sequence[HeldOut], choice: Choice, coverage: float = COVERAGE) -> SpreadChoice:
    """The narrowest rule that covers ``coverage`` of the COVID-19 radiographs.

    Its own figures come from rules that were chosen in the same way without the fold that they are judged on.

    Raises:
        ValueError: no rule within the shifts that were tried covers that many.
    """
    covid = [item for item in held_out if item.case.is_scored_covid and _is_known(item)]
    judged: list[Ranged] = []
    healthy: dict[str, list[Ranged]] = {HEALTHY_ADULTS: [], CHILDREN: []}
    for fold in sorted({item.fold for item in covid}):
        rule = _narrowest([item for item in covid if item.fold != fold], choice, coverage)
        judged += [_judge(item, choice, *rule) for item in covid if item.fold == fold]
        for name, ranges in healthy.items():
            inside = [item for item in held_out if item.fold == fold and GROUPS[name](item.case) and _is_known(item)]
            ranges += [_judge(item, choice, *rule) for item in inside]
    low, high = _narrowest(covid, choice, coverage)
    found = Ranges.of(judged)
    return SpreadChoice(
        rule=SpreadRule(low=low, high=high, coverage=round(found.held, 3)),
        covered=found.held,
        covered_adults=Ranges.of(healthy[HEALTHY_ADULTS]).held,
        covered_children=Ranges.of(healthy[CHILDREN]).held,
        width=found.width,
        narrow_error=found.narrow_error,
        wide_error=found.wide_error,
    )


def _narrowest(items: Sequence[HeldOut], choice: Choice, coverage: float) -> tuple[float, float]:
    fit: list[tuple[float, float, float, float]] = []
    for low, high in product(_STEPS, _STEPS):
        found = Ranges.of([_judge(item, choice, low, high) for item in items])
        if found.held >= coverage:
            # Of rules equally narrow in scores, the one narrower in shares is better.
            fit.append((found.width, low + high, low, high))
    if not fit:
        raise ValueError(f"no interval of up to {_STEPS[-1]} covers {coverage:.0%} of {len(items)} radiographs")
    _, _, low, high = min(fit)
    return low, high


def _judge(item: HeldOut, choice: Choice, low: float, high: float) -> Ranged:
    least, score, most = (
        item.score(choice.shift + change, choice.label_shift, choice.threshold) for change in (-low, 0.0, high)
    )
    consensus = item.case.score
    if least is None or score is None or most is None or consensus is None:
        raise ValueError(f"{item.case.id}: expected two lungs and a readers' score")
    return Ranged(score, least, most, consensus)


def _is_known(item: HeldOut) -> bool:
    return not any(np.isnan(item.shares[0]))
