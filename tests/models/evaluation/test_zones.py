from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from models.evaluation.results import Result
from models.evaluation.zones import (
    brixia_agreement,
    calibrated_by_brixia,
    calibrated_by_masks,
    drawn_shares,
    share_pairs,
)
from models.pack import Case, Pack
from tests.models.evaluation.tables import CASE
from tests.models.packs import write_pack

FEW = 100


def _read(scores: tuple[float, ...], shares: tuple[float, ...] | None = None, **changes: object) -> Result:
    case = replace(CASE, brixia=(scores, scores))
    right = tuple(score / 3 for score in scores)
    return Result(replace(case, **changes), 3, shares or right, None, None, threshold=0.3)


@pytest.fixture
def oriented() -> list[Result]:
    """Shares that follow the radiologists: the image-left lung is worse, and lower zones are."""
    rng = np.random.default_rng(0)
    zones = np.array([3, 2, 1, 2, 1, 0])
    return [_read(tuple(float(score) for score in np.clip(zones - rng.integers(0, 2, 6), 0, 3))) for _ in range(30)]


def test_shares_that_follow_the_scores_correlate_and_are_oriented(oriented: list[Result]) -> None:
    found = brixia_agreement(oriented, FEW, 0)
    assert found is not None
    assert found.radiographs == 30
    assert found.right.value == pytest.approx(1)
    assert found.readers == pytest.approx(1)
    assert found.wrong_sides.value < 0.9
    assert found.upside_down.value < 0.5
    assert found.is_oriented
    # Over 0.3 is a score of 1 and more, which is what counts as affected.
    assert (found.kappa, found.sensitivity, found.specificity, found.area) == (1, 1, 1, 1)


@pytest.mark.parametrize("order", [(3, 4, 5, 0, 1, 2), (2, 1, 0, 5, 4, 3)])
def test_mixed_up_sides_or_ends_are_noticed(oriented: list[Result], order: tuple[int, ...]) -> None:
    turned = [replace(result, shares=tuple(result.shares[place] for place in order)) for result in oriented]
    found = brixia_agreement(turned, FEW, 0)
    assert found is not None
    assert not found.is_oriented


def test_few_or_unscored_radiographs_give_no_figures(oriented: list[Result]) -> None:
    unscored = replace(oriented[0], score=None, shares=(nan,) * 6)
    assert brixia_agreement([*oriented[:2], unscored], FEW, 0) is None
    healthy = [_read((0,) * 6, shares=(0.0, 0.1, 0.0, 0.0, 0.1, 0.2)) for _ in range(4)]
    found = brixia_agreement(healthy, FEW, 0)
    assert found is not None
    assert isnan(found.right.value) and isnan(found.area) and isnan(found.kappa)
    assert not found.is_oriented
    assert found.specificity == 1


def test_calibration_counts_zones_by_their_share() -> None:
    results = [_read((0, 0, 0, 0, 3, 3), shares=(0.0, 0.01, 0.02, 0.5, 0.5, 0.9))]
    low, middle, high = calibrated_by_brixia(results)
    assert (low.count, low.found, low.said) == (3, pytest.approx(0.01), 0)
    assert (middle.count, middle.found, middle.said) == (2, 0.5, 0.5)
    assert (high.count, high.said) == (1, 1)
    assert calibrated_by_masks(results) == [], "no masks"


def test_drawn_masks_give_shares_by_the_workflow_s_rules(tmp_path: Path) -> None:
    """The made-up pack is diseased in the lower half of the picture."""
    cases = Pack(write_pack(tmp_path / "pack")).cases
    masked: Case = next(case for case in cases if case.has_disease)
    lower, middle, upper, *others = drawn_shares(masked)
    assert lower == pytest.approx(1)
    assert 0 < middle < 1
    assert upper == 0
    assert others[0] == pytest.approx(1) and others[2] == 0
    perfect = Result(masked, 4, drawn_shares(masked), 1.0, 1.0, 0.3)
    assert all(found == said for found, said in share_pairs([perfect]))
    assert calibrated_by_masks([perfect])[0].count == 2
