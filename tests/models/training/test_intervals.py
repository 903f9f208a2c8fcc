"""How wide intervals have to be, chosen on held-out radiographs and judged on others."""

from dataclasses import replace

import numpy as np
import pytest

from models.pack import Case, Pack
from models.training.crossvalidation import SHIFTS, HeldOut
from models.training.intervals import choose_spread
from tests.models.packs import write_pack
from tests.models.training.held_out import a_choice, seen_at

CHOICE = a_choice(shift=0.0, threshold=0.3)


@pytest.fixture(scope="module")
def covid(tmp_path_factory: pytest.TempPathFactory) -> Case:
    pack = Pack(write_pack(tmp_path_factory.mktemp("pack"), count=3))
    return next(case for case in pack.cases if case.is_scored_covid)


def held_out(case: Case, score: float, at: float, fold: int, label: float | None = None) -> HeldOut:
    """One zone's share rises over the threshold for each half logit from ``at`` on."""
    shares = [tuple(0.5 if shift >= at + zone / 2 else 0.1 for zone in range(6)) for shift in SHIFTS]
    return seen_at(replace(case, score=score), shares, label=label, fold=fold)


def test_the_narrowest_rule_that_covers_is_chosen(covid: Case) -> None:
    """At shift 0 every radiograph has 1; readers said 2, which one more half logit makes of it."""
    items = [held_out(covid, 2.0, 0.0, fold) for fold in (0, 1, 2) for _ in range(10)]
    found = choose_spread(items, CHOICE)
    assert (found.rule.low, found.rule.high) == (0.25, 0.5)
    assert found.covered == found.rule.coverage == 1
    assert found.width == 2


def test_a_consensus_between_two_scores_is_held_by_either(covid: Case) -> None:
    """Readers' mean 1.5: a range that ends at 1 holds it."""
    items = [held_out(covid, 1.5, 0.0, fold) for fold in (0, 1, 2) for _ in range(10)]
    assert choose_spread(items, CHOICE).rule.high == 0.25


def test_a_rule_is_judged_on_the_fold_that_had_no_part_in_it(covid: Case) -> None:
    """The third fold needs more than the others: it is covered by the rule of all, not by that of the others."""
    near = [held_out(covid, 2.0, 0.0, fold) for fold in (0, 1) for _ in range(45)]
    far = [held_out(covid, 4.0, 0.0, 2) for _ in range(10)]
    found = choose_spread(near + far, CHOICE)
    assert found.covered == pytest.approx(0.9)
    assert (found.narrow_error, found.wide_error) != (0.0, 0.0)


def test_wide_ranges_are_where_the_error_is(covid: Case) -> None:
    sure = [seen_at(replace(covid, score=0.0), [(0.1,) * 6] * len(SHIFTS), fold=fold) for fold in (0, 1, 2)] * 9
    unsure = [held_out(covid, 3.0, 0.0, fold) for fold in (0, 1, 2)] * 9
    found = choose_spread(sure + unsure, CHOICE)
    assert found.narrow_error == 0
    assert found.wide_error == 2


def test_where_the_label_says_no_disease_the_range_is_zero(covid: Case) -> None:
    """Readers said 0 and the map marks much: the label keeps the range at 0, and its shift lets it through."""
    items = [held_out(covid, 0.0, -3.0, fold, label=-1.0) for fold in (0, 1, 2) for _ in range(10)]
    found = choose_spread(items, CHOICE)
    assert (found.covered, found.width) == (1, 0)
    with pytest.raises(ValueError, match="covers 90%"):
        choose_spread(items, replace(CHOICE, label_shift=1.5))


def test_healthy_adults_and_children_are_covered_apart(covid: Case) -> None:
    items = [held_out(covid, 2.0, 0.0, fold) for fold in (0, 1, 2) for _ in range(10)]
    adult = replace(covid, label="Normal", age_group="adult", score=0.0)
    child = replace(adult, age_group="child")
    healthy = [seen_at(adult, [(0.1,) * 6] * len(SHIFTS)), held_out(adult, 0.0, -3.0, 1)]
    found = choose_spread([*items, *healthy, seen_at(child, [(0.1,) * 6] * len(SHIFTS))], CHOICE)
    assert (found.covered_adults, found.covered_children) == (0.5, 1)


def test_radiographs_without_two_lungs_are_left_out(covid: Case) -> None:
    items = [held_out(covid, 2.0, 0.0, fold) for fold in (0, 1, 2) for _ in range(10)]
    lost = seen_at(covid, [(np.nan,) * 6] * len(SHIFTS))
    assert choose_spread([*items, lost], CHOICE) == choose_spread(items, CHOICE)


def test_what_no_interval_covers_is_named(covid: Case) -> None:
    items = [held_out(covid, 6.0, 9.0, fold) for fold in (0, 1, 2)]
    with pytest.raises(ValueError, match=r"no interval of up to 3\.0 covers 90%"):
        choose_spread(items, CHOICE)
