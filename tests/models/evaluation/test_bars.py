from dataclasses import replace

import numpy as np
import pytest

from models.evaluation import (
    Figure,
    Result,
    area_under_curve,
    brixia_correlation,
    cross_validated,
    dice,
    figures,
    mean_absolute_error,
    table,
)
from models.evaluation.bars import DISEASE_DICE, FALLEN_SHORT
from models.pack import Case
from models.weights import default_weights
from models.weights.cards import read_card
from tests.models.evaluation.tables import CASE


def result(score: int | None, shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), case: Case = CASE) -> Result:
    return Result(case, score, shares, lung_dice=0.97, disease_dice=None)


def test_dice() -> None:
    half, whole = np.array([True, False]), np.array([True, True])
    assert dice(half, whole) == pytest.approx(2 / 3)
    assert dice(half, half) == 1
    assert dice(half, ~half) == 0
    assert dice(half & False, half & False) == 1


def test_error_counts_only_what_was_scored() -> None:
    assert mean_absolute_error([result(3), result(5), result(None)]) == pytest.approx(1.0)


def test_brixia_correlation_falls_when_sides_or_ends_are_mixed_up() -> None:
    right, zones = brixia_correlation([result(3)])
    swapped, _ = brixia_correlation([result(3, shares=(0.3, 0.4, 0.5, 0.0, 0.1, 0.2))])
    assert zones == 6
    assert right > 0.95
    assert swapped < right - 0.5


def test_the_table_has_bars_verdicts_and_other_systems() -> None:
    normal = replace(CASE, label="Normal", score=0.0, published=())
    without = result(None, case=replace(CASE, published=(("manet", 0.0),)))
    lines = figures([result(2), without, result(1, case=normal)])
    by_name = {line.name: line for line in lines}
    covid = by_name["severity MAE, COVID-19"]
    assert (covid.value, covid.count, covid.met) == (1.5, 2, False)
    assert covid.others == {"manet": 1.5}, "of the same radiographs: ours has no score for one"
    assert by_name["lungs, mean Dice"].met
    assert by_name["readers' disagreement, COVID-19"].value == 1
    assert by_name["disease, mean Dice"].met, "without radiographs a bar does not apply"
    refused = {line.name: line for line in figures([without])}
    assert refused["severity MAE, COVID-19"].verdict == "WORSE", "radiographs without a score are no want of data"
    printed = table(lines)
    assert "| severity MAE, COVID-19 | 2 | 1.500 | 1.500 |" in printed
    assert "| disease, mean Dice | 0 |  |  |  |  | ≥ 0.65 | not applicable |" in printed
    assert "WORSE" in printed


def test_a_known_miss_is_named_and_must_not_get_worse() -> None:
    name = "disease, mean Dice"
    found = {value: Figure("disease", name, value, 7, limit=DISEASE_DICE) for value in (0.66, 0.645, 0.6)}
    assert [line.verdict for line in found.values()] == ["met", "missed", "WORSE"]
    assert [line.holds for line in found.values()] == [True, True, False]
    assert FALLEN_SHORT[name] < DISEASE_DICE


def test_the_embedded_card_s_cross_validation_is_held_as_well() -> None:
    lines = cross_validated(read_card(default_weights("disease")).metrics)
    assert len([line for line in lines if line.limit is not None]) == 2
    assert [line.name for line in lines if not line.holds] == []
    assert cross_validated({}) == []


def test_each_group_has_its_own_figures() -> None:
    """The diseased share orders three of four pairs of opacities and others; one healthy adult of two is over 0."""
    adult = replace(CASE, label="Normal", age_group="adult", score=0.0)
    child, other = replace(adult, age_group="child"), replace(CASE, label="Other", score=None, view="AP")
    opacity = replace(other, label="Pneumonia")
    results = [
        *(replace(result(score, case=adult), diseased_share=share) for score, share in ((0, 0.0), (1, 0.2))),
        replace(result(0, case=child), diseased_share=0.0),
        *(replace(result(2, case=other), diseased_share=share) for share in (0.3, 0.0)),
        *(replace(result(3, case=opacity), diseased_share=share) for share in (0.25, 0.5)),
        result(4),
    ]
    found = {line.name: line.value for line in figures(results)}
    assert found["healthy adults, mean score"] == found["healthy adults, part over 0"] == 0.5
    assert found["bedside (AP) without opacity, mean score"] == 2
    assert found["healthy children, mean score"] == 0
    assert found["opacities against adult normals, AUC"] == 1
    assert found["opacities against other findings, no opacity, AUC"] == 0.75
    assert found["severity MAE, the paper's mixture"] == pytest.approx((55 * 0.5 + 44 * 0 + 36 * 0.5) / 135)


def test_ties_count_half_in_the_area_under_the_curve() -> None:
    assert area_under_curve([1, 0], [0]) == 0.75
    assert area_under_curve([0.2], [0.1, 0.3]) == 0.5
    assert np.isnan(area_under_curve([], [1.0]))


def test_a_bar_holds_on_its_own_side() -> None:
    assert Figure("lungs", "a", 0.5, 1, limit=0.5).met
    assert not Figure("lungs", "a", 0.49, 1, limit=0.5).met
    assert Figure("lungs", "a", 0.5, 1, limit=0.5, lower_is_better=True).met
    assert not Figure("lungs", "a", float("nan"), 1, limit=0.5, lower_is_better=True).met
