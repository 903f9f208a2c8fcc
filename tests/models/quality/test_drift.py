from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.phantom import draw_phantom, phantom_lungs
from models.pixels import Mask, Pixels
from models.quality.drift import (
    DISEASE_MEASURES,
    EDGES,
    LUNG_MEASURES,
    cumulative,
    distance,
    lung_measures,
    picture_measures,
    reference,
)
from models.runtime.stage import Stage
from models.weights import default_weights
from models.weights.cards import ModelCard, read_card
from models.workflow import Workflow
from tests.support.stubs import FixedMap

SIDE = 64
shares = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def chest() -> Pixels:
    return draw_phantom(320)


@pytest.fixture(scope="module")
def chest_lungs() -> Mask:
    return phantom_lungs(160)


@pytest.fixture
def ramp() -> Pixels:
    return np.broadcast_to(np.arange(SIDE, dtype=np.uint8) * 2, (SIDE, SIDE)).copy()


def test_what_the_picture_alone_says(ramp: Pixels) -> None:
    found = picture_measures(ramp, height=100, width=300)
    assert found == pytest.approx(
        {"brightness": ramp.mean() / 255, "contrast": ramp.std() / 127.5, "aspect": 0.75}, abs=1e-6
    )


def test_the_measures_stay_within_their_scale() -> None:
    black_and_white = np.zeros((SIDE, SIDE), np.uint8)
    black_and_white[: SIDE // 2] = 255
    assert picture_measures(black_and_white, 1, 10**4)["contrast"] == pytest.approx(1)
    assert picture_measures(black_and_white + 255, 1, 10**4)["aspect"] < 1


def test_what_the_lungs_say(ramp: Pixels) -> None:
    lungs = np.zeros((SIDE, SIDE), bool)
    lungs[:, :16] = True
    assert lung_measures(ramp, lungs) == pytest.approx({"lung_area": 0.25, "lung_brightness": 15 / 255})
    assert lung_measures(ramp, ~lungs | lungs)["lung_area"] == 1


def test_no_lungs_have_no_gray(ramp: Pixels) -> None:
    assert lung_measures(ramp, np.zeros((SIDE, SIDE), bool)) == {"lung_area": 0}


@given(shares)
def test_a_distribution_counts_what_is_at_or_under_each_edge(values: list[float]) -> None:
    found = cumulative(values)
    assert found == pytest.approx([sum(value <= edge for value in values) / len(values) for edge in EDGES])


@given(shares, shares)
def test_the_distance_is_symmetric_and_none_to_itself(first: list[float], second: list[float]) -> None:
    one, other = cumulative(first), cumulative(second)
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) <= 1


def test_distributions_apart_are_as_far_as_can_be() -> None:
    assert distance(cumulative([0.1]), cumulative([0.9])) == 1


def test_nothing_has_no_distribution() -> None:
    with pytest.raises(ValueError, match="found none"):
        cumulative([])


def test_a_measure_that_some_lack_is_taken_over_the_others() -> None:
    found = reference([{"lung_area": 0.0}, {"lung_area": 0.4, "lung_brightness": 0.3}])
    assert found["lung_brightness"] == cumulative([0.3])
    assert found["lung_area"] == cumulative([0.0, 0.4])


def pair(lungs: Mask) -> Workflow:
    return Workflow(Stage(FixedMap(lungs), input_size=160), Stage(FixedMap(~lungs), input_size=160))


def test_an_analysis_has_every_measure_of_the_radiograph_as_it_came(chest: Pixels, chest_lungs: Mask) -> None:
    workflow = pair(chest_lungs)
    right, wrong = workflow.analyse(chest), workflow.analyse(np.asarray(255 - chest, np.uint8))
    assert set(right.measures) == {*LUNG_MEASURES, *DISEASE_MEASURES}
    assert all(0 <= value <= 1 for value in right.measures.values())
    for name in ("brightness", "lung_brightness"):
        assert right.measures[name] + wrong.measures[name] == pytest.approx(1, abs=0.01)


def test_correcting_the_polarity_does_not_hide_it(chest: Pixels, chest_lungs: Mask) -> None:
    workflow = pair(chest_lungs)
    inverted = np.asarray(255 - chest, np.uint8)
    prepared = {polarity: workflow.prepare(inverted, polarity=polarity) for polarity in ("as_is", "auto")}
    assert prepared["auto"].corrected
    maps = workflow.lungs.run([prepared["auto"].picture])[0]
    measures = [workflow.crop_lungs(item, maps[0]).measures for item in prepared.values()]
    assert measures[0] == pytest.approx(measures[1], abs=1e-3)


def test_no_lungs_leave_their_measures_out(chest: Pixels) -> None:
    found = pair(np.zeros((160, 160), bool)).analyse(chest).measures
    assert found["lung_area"] == 0
    assert not {"lung_brightness", "diseased_share"} & set(found)


def test_the_embedded_pair_has_a_reference_for_every_measure() -> None:
    assert set(read_card(default_weights("lungs")).reference) == set(LUNG_MEASURES)
    assert set(read_card(default_weights("disease")).reference) == set(DISEASE_MEASURES)


@pytest.mark.parametrize(
    "wrong",
    [(0.5,) * (len(EDGES) - 1), (*(1.0,) * (len(EDGES) - 1), 0.5), (nan,) * len(EDGES), (1.5,) * len(EDGES)],
    ids=["too few", "falling", "no number", "over 1"],
)
def test_a_card_with_a_broken_reference_is_refused(wrong: tuple[float, ...]) -> None:
    card = read_card(default_weights("lungs")).model_dump()
    with pytest.raises(ValidationError):
        ModelCard(**{**card, "reference": {"brightness": wrong}})
