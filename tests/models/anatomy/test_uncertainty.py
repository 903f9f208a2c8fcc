"""Intervals of shares and the range of scores."""

from math import exp, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.anatomy.lungs import LungPair, cut_zones
from models.anatomy.severity import severity_score, zone_shares
from models.anatomy.uncertainty import SpreadRule, spread
from models.phantom import draw_phantom, phantom_lungs
from models.runtime.stage import Stage
from models.weights.cards import ModelCard
from models.workflow import Workflow
from tests.support.stubs import BrightIsDisease, FixedMap

SIDE = 96
FIELDS = {"name": "x", "architecture": "MAnet", "encoder": "resnet18", "mean": (0.5,) * 3, "std": (0.5,) * 3}
RULE = SpreadRule(low=1.0, high=0.5, coverage=0.9)


def boxes() -> LungPair:
    left, right = (np.zeros((SIDE, SIDE), bool) for _ in range(2))
    left[6:90, 4:44] = True
    right[6:90, 52:92] = True
    return LungPair(cut_zones(left), cut_zones(right))


def probabilities(seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(0, 2, (SIDE, SIDE))
    return (1 / (1 + np.exp(-rows))).astype(np.float32)


rules = st.builds(SpreadRule, low=st.floats(0, 4), high=st.floats(0, 4), coverage=st.just(0.9))


@given(st.integers(0, 50), rules, st.floats(0, 1))
def test_share_and_score_lie_within_their_intervals(seed: int, rule: SpreadRule, threshold: float) -> None:
    pair, found = boxes(), probabilities(seed)
    shares = zone_shares(pair, found > 0.5)
    answer = spread(pair, found, rule, threshold)
    assert all(least <= share <= most for share, (least, most) in zip(shares, answer.shares, strict=True))
    assert answer.scores is not None
    assert answer.scores[0] <= severity_score(shares, threshold) <= answer.scores[1]


@given(st.integers(0, 20), rules, rules)
def test_a_wider_rule_has_wider_intervals(seed: int, one: SpreadRule, other: SpreadRule) -> None:
    pair, found = boxes(), probabilities(seed)
    wide = SpreadRule(low=max(one.low, other.low), high=max(one.high, other.high), coverage=0.9)
    inner, outer = (spread(pair, found, rule, 0.3) for rule in (one, wide))
    for (least, most), (lower, upper) in zip(inner.shares, outer.shares, strict=True):
        assert lower <= least <= most <= upper


def test_the_rule_is_in_logits() -> None:
    """Pixels at a logit of 0.75: over the least where that takes away less, and not where it takes more."""
    found = np.full((SIDE, SIDE), 1 / (1 + exp(-0.75)), np.float32)
    surer, less_sure = (
        spread(boxes(), found, SpreadRule(low=low, high=0, coverage=0.9), 0.3).shares[0] for low in (0.7, 0.8)
    )
    assert surer == (1.0, 1.0)
    assert less_sure == (0.0, 1.0)


def test_where_the_network_is_sure_the_range_is_one_score() -> None:
    found = np.where(np.arange(SIDE)[:, None] < SIDE // 2, 0.999, 0.001).astype(np.float32).repeat(SIDE, 1)
    answer = spread(boxes(), found, RULE, 0.5)
    assert answer.scores is not None and answer.scores[0] == answer.scores[1]


def pair_of_stubs(rule: SpreadRule | None, lungs: np.ndarray, label: float | None = None) -> Workflow:
    card = ModelCard(role="disease", input_size=SIDE, threshold=0.3, spread=rule, **FIELDS)
    disease = Stage(BrightIsDisease(label), input_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, card=card)
    return Workflow(Stage(FixedMap(lungs), input_size=160), disease)


def test_it_comes_where_it_is_asked_for_and_was_measured() -> None:
    radiograph = draw_phantom(320, diseased=("left_lower",))
    measured, unmeasured = (pair_of_stubs(rule, phantom_lungs(160)) for rule in (RULE, None))
    assert measured.analyse(radiograph).spread is None
    assert unmeasured.analyse(radiograph, uncertainty=True).spread is None
    found = measured.analyse(radiograph, uncertainty=True)
    assert found.spread is not None and found.spread.coverage == 0.9
    assert found.spread.scores[0] <= found.score <= found.spread.scores[1]


def test_the_threshold_of_the_request_counts() -> None:
    workflow = pair_of_stubs(RULE, phantom_lungs(160))
    found = workflow.analyse(draw_phantom(320), threshold=1.0, uncertainty=True)
    assert found.spread.scores == (0, 0)


def test_without_a_score_there_is_no_range() -> None:
    lungs = phantom_lungs(160)
    lungs[:, :80] = False
    found = pair_of_stubs(RULE, lungs).analyse(draw_phantom(320), uncertainty=True)
    assert found.score is None
    assert found.spread.scores is None
    assert [isnan(least) for least, _ in found.spread.shares] == [True] * 3 + [False] * 3


def test_what_the_label_rules_out_is_nowhere() -> None:
    found = pair_of_stubs(RULE, phantom_lungs(160), label=0.1).analyse(draw_phantom(320), uncertainty=True)
    assert found.spread.shares == ((0.0, 0.0),) * 6


def test_the_rule_is_stage_twos() -> None:
    with pytest.raises(ValidationError, match="spread belongs to a disease card"):
        ModelCard(role="lungs", input_size=SIDE, spread=RULE, **FIELDS)
    with pytest.raises(ValidationError):
        SpreadRule(low=-1, high=0, coverage=0.9)
