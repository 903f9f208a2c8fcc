import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, r2_score

from models.evaluation.agreement import Estimate, agreement, mean_estimate

SCORES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), min_size=2, max_size=40)
FEW = 50
"""Resamples: enough where only the figure itself is looked at."""


def test_figures_worked_out_by_hand() -> None:
    # Differences 1, -1, 0, 2: MAE 1, RMSE sqrt(6 / 4), bias 0.5, deviation sqrt((0.25 + 2.25 + 0.25 + 2.25) / 3).
    one = agreement([1, 0, 3, 6], [0, 1, 3, 4], resamples=FEW)
    assert one.count == 4
    assert one.mae.value == pytest.approx(1.0)
    assert one.rmse.value == pytest.approx(1.5**0.5)
    assert one.r2.value == pytest.approx(1 - 6 / 10)
    assert one.bias.value == pytest.approx(0.5)
    assert one.upper.value == pytest.approx(0.5 + 1.96 * (5 / 3) ** 0.5)
    assert one.lower.value == pytest.approx(0.5 - 1.96 * (5 / 3) ** 0.5)
    # Paired at random the mean squared difference is 5.25 + 2.5 + 0.5² = 8 (variances, means), of these pairs 1.5.
    assert one.kappa.value == pytest.approx(1 - 1.5 / 8)


@settings(max_examples=25)
@given(SCORES)
def test_kappa_is_the_library_s_on_half_points(pairs: list[tuple[int, int]]) -> None:
    scores, halves = (np.array(column) for column in zip(*pairs, strict=True))
    found = agreement(scores, halves / 2, resamples=FEW)
    if np.isnan(found.kappa.value):
        assert (2 * scores == halves[0]).all() and (halves == halves[0]).all()
        return
    expected = cohen_kappa_score(2 * scores, halves, weights="quadratic", labels=list(range(13)))
    assert found.kappa.value == pytest.approx(expected, abs=1e-9)
    if halves.std():
        assert found.r2.value == pytest.approx(r2_score(halves / 2, scores))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=40).filter(lambda values: len(set(values)) > 1))
def test_a_perfect_system_and_a_shifted_one(halves: list[int]) -> None:
    consensus = np.array(halves) / 2
    perfect = agreement(consensus, consensus, resamples=FEW)
    assert (perfect.mae.value, perfect.rmse.value, perfect.bias.value) == (0, 0, 0)
    assert (perfect.r2.value, perfect.kappa.value) == (1, 1)
    assert (perfect.mae.low, perfect.mae.high) == (0, 0)
    shifted = agreement(consensus + 1.5, consensus, resamples=FEW)
    for found in (shifted.mae, shifted.rmse, shifted.bias, shifted.lower, shifted.upper):
        assert found.value == pytest.approx(1.5)
    assert shifted.kappa.value < 1


def test_intervals_hold_the_figure_repeat_with_the_seed_and_narrow_with_the_count() -> None:
    rng = np.random.default_rng(1)
    consensus = rng.integers(0, 13, 400) / 2
    scores = np.clip(np.rint(consensus + rng.normal(0, 1, 400)), 0, 6)
    few, many = agreement(scores[:40], consensus[:40]), agreement(scores, consensus)
    for one in (few, many):
        assert one.mae.low < one.mae.value < one.mae.high
        assert one.kappa.low < one.kappa.value < one.kappa.high
    assert many.mae.high - many.mae.low < (few.mae.high - few.mae.low) / 2
    assert agreement(scores, consensus, seed=0) == many
    assert agreement(scores, consensus, seed=1).mae != many.mae
    # The standard error of a mean, 1.96 times to each side.
    expected = 1.96 * np.abs(scores - consensus).std() / len(scores) ** 0.5
    assert (many.mae.high - many.mae.low) / 2 == pytest.approx(expected, rel=0.1)


def test_what_is_not_defined_is_a_dash() -> None:
    normals = agreement([0, 0, 1], [0, 0, 0], resamples=FEW)
    assert normals.r2.text() == "–"
    assert normals.mae.value == pytest.approx(1 / 3)
    assert agreement([np.nan, 1], [1, np.nan]).count == 0
    assert agreement([], []).mae.text() == "–"
    assert agreement([2], [1]).mae.text() == "1.00"
    assert Estimate(-1e-17, -0.5, 1e-17).text() == "0.00 (-0.50 to 0.00)"


def test_a_mean_has_an_interval_as_well() -> None:
    found = mean_estimate([0.9, 0.95, 1.0], resamples=500)
    assert found.value == pytest.approx(0.95)
    assert 0.9 <= found.low < found.value < found.high <= 1.0
