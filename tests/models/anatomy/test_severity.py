from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.anatomy.lungs import LungPair, separate_lungs
from models.anatomy.severity import ZONES, severity_score, threshold_margin, zone_shares
from tests.models.strategies import SIZE, WHOLE, two_lungs


@given(two_lungs(), st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=25)
def test_shares_lie_in_0_to_1_and_mirror(mask: np.ndarray, seed: int, density: float) -> None:
    disease = np.random.default_rng(seed).random((SIZE, SIZE)) < density
    shares = zone_shares(separate_lungs(mask, "robust", WHOLE), disease)
    mirrored = zone_shares(separate_lungs(mask[:, ::-1].copy(), "robust", WHOLE), disease[:, ::-1])
    assert len(shares) == len(ZONES) == 6
    assert all(0 <= share <= 1 for share in shares)
    np.testing.assert_allclose(shares, (*mirrored[3:], *mirrored[:3]))


@given(two_lungs())
@settings(max_examples=10)
def test_all_or_no_disease(mask: np.ndarray) -> None:
    lungs = separate_lungs(mask, "robust", WHOLE)
    assert zone_shares(lungs, np.ones((SIZE, SIZE), bool)) == (1,) * 6
    assert zone_shares(lungs, np.zeros((SIZE, SIZE), bool)) == (0,) * 6


def test_disease_at_one_lung_base_lands_in_the_patients_own_zone() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[100:400, 60:200] = mask[100:400, 300:440] = True
    disease = np.zeros((SIZE, SIZE), bool)
    disease[300:400, 60:200] = True
    shares = dict(zip(ZONES, zone_shares(separate_lungs(mask, "robust", WHOLE), disease), strict=True))
    # The image's left is the patient's right.
    assert shares.pop("right_lower") == pytest.approx(1, abs=0.02)
    assert max(shares.values()) <= 0.02


def test_a_share_counts_only_strictly_over_the_threshold() -> None:
    shares = (0.3, 0.30001, 0.0, 1.0, 0.29, 0.5)
    assert severity_score(shares, 0.3) == 3
    assert threshold_margin(shares, 0.25) == pytest.approx(0.04)


def test_an_unknown_share_gives_no_score() -> None:
    shares = (0.5, 0.5, 0.5, nan, nan, nan)
    assert severity_score(shares, 0.3) is None
    assert threshold_margin(shares, 0.3) is None


def test_a_missing_lung_has_unknown_shares() -> None:
    shares = zone_shares(LungPair(None, None), np.ones((SIZE, SIZE), bool))
    assert all(isnan(share) for share in shares)
