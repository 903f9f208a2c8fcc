"""Damaged JPEGs of every kind are refused: what ``python -m benchmarks.robustness.damage`` counts, with fewer files."""

import pytest

from benchmarks.robustness.damage import KINDS, WAYS, count

SIZE, SEED = 224, 20_261_126


@pytest.mark.parametrize("name", KINDS)
def test_what_changes_the_picture_is_refused(name: str) -> None:
    kind = KINDS[name]
    rounds = 20 if kind.bar > 0.9 else 6
    found = count(kind, rounds, SIZE, SEED)
    assert found.changed + found.closed > rounds * len(WAYS) / 2
    assert found.share >= kind.bar and found.let_through == 0
