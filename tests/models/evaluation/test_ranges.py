"""Ranges of scores against the readers' consensus."""

from math import isnan

import pytest

from models.evaluation.ranges import Ranged, Ranges


@pytest.mark.parametrize(
    ("least", "most", "consensus", "holds"),
    [(2, 4, 3, True), (2, 4, 4, True), (2, 4, 5, False), (2, 4, 4.5, True), (2, 4, 1.5, True), (2, 2, 3.5, False)],
)
def test_a_consensus_between_two_scores_may_be_rounded_either_way(
    least: int, most: int, consensus: float, holds: bool
) -> None:
    assert Ranged(least, least, most, consensus).holds is holds


def test_errors_are_told_apart_by_width() -> None:
    found = Ranges.of([Ranged(1, 1, 2, 1), Ranged(1, 0, 3, 4), Ranged(2, 1, 4, 2.5)])
    assert (found.count, found.held, found.width) == (3, pytest.approx(2 / 3), pytest.approx(7 / 3))
    assert (found.narrow_error, found.wide_error) == (0, 1.75)


def test_of_nothing_there_is_no_figure() -> None:
    found = Ranges.of([])
    assert found.count == 0
    assert isnan(found.held) and isnan(found.narrow_error)
