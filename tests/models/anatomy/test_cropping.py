"""Stage II's crop from the radiograph's own pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.anatomy.cropping import own_crop, resized
from models.anatomy.lungs import Box, lungs_box
from models.phantom import draw_phantom, phantom_lungs
from models.pixels import Mask
from models.runtime.stage import Stage
from models.weights.cards import ModelCard
from models.workflow import Workflow
from tests.support.stubs import BrightIsDisease, FixedMap

LUNGS_SIDE = 160
FIELDS = {"name": "x", "architecture": "MAnet", "encoder": "resnet18", "mean": (0.5,) * 3, "std": (0.5,) * 3}
OWN = ModelCard(role="disease", input_size=96, threshold=0.3, crop_pixels="radiograph", **FIELDS)
ZONES = ("left_lower", "right_upper")


def pair(own: bool, side: int = LUNGS_SIDE) -> Workflow:
    disease = Stage(BrightIsDisease(), input_size=96, mean=(0.5,) * 3, std=(0.5,) * 3, card=OWN if own else None)
    return Workflow(Stage(FixedMap(phantom_lungs(side)), input_size=side), disease, threshold=0.3)


def oval(side: int) -> Mask:
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    return np.asarray((rows / 0.4) ** 2 + (columns / 0.3) ** 2 < 1)


@given(st.integers(20, 400), st.integers(20, 400), st.integers(32, 128))
def test_a_crop_has_its_size_and_is_black_outside_the_lungs(height: int, width: int, size: int) -> None:
    mask = oval(64)
    found = own_crop(np.full((height, width), 200, np.uint8), mask, lungs_box(mask), size)
    assert found.shape == (size, size)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 200}
    assert found[0, 0] == 0
    assert found[size // 2, size // 2] == 200


def test_a_large_radiograph_is_averaged_and_not_sampled() -> None:
    stripes = np.zeros((800, 800), np.uint8)
    stripes[:, ::2] = 200
    assert np.unique(resized(stripes, 100)).tolist() == [100]


def test_a_box_at_the_edge_of_a_tiny_radiograph_is_not_empty() -> None:
    mask = np.zeros((160, 160), bool)
    mask[159, 159] = True
    assert own_crop(np.full((64, 64), 9, np.uint8), mask, Box(159, 159, 160, 160), 32).max() == 9


@pytest.mark.parametrize("side", [320, 1500])
def test_both_crops_show_the_same_part(side: int) -> None:
    radiograph = draw_phantom(side, diseased=ZONES)
    published, own = (pair(own).analyse(radiograph) for own in (False, True))
    assert own.shares == pytest.approx(published.shares, abs=0.05)
    assert own.score == published.score
    np.testing.assert_array_equal(own.lungs, published.lungs)
    overlap = np.count_nonzero(own.disease & published.disease) / np.count_nonzero(own.disease | published.disease)
    # The edges of the disease are sharper on the radiograph itself.
    assert overlap > 0.85


def test_the_crop_is_stage_twos_input_as_it_is() -> None:
    workflow = pair(own=True)
    radiograph = draw_phantom(LUNGS_SIDE * 4)
    prepared = workflow.prepare(radiograph)
    cropped = workflow.crop_lungs(prepared, workflow.lungs.run([prepared.picture])[0][0])
    assert prepared.own is not None
    assert cropped.image.shape == (96, 96)
    assert workflow.disease.prepare(cropped.image) is cropped.image


def test_a_corrected_radiograph_is_cut_from_corrected_pixels() -> None:
    radiograph = draw_phantom(640, diseased=ZONES)
    workflow = pair(own=True)
    right = workflow.prepare(radiograph)
    corrected = workflow.prepare(np.asarray(255 - radiograph, np.uint8), polarity="auto")
    assert corrected.corrected
    np.testing.assert_array_equal(corrected.own, right.own)


def test_published_weights_are_fed_as_published() -> None:
    assert pair(own=False).prepare(draw_phantom(320)).own is None


def test_the_option_is_stage_twos() -> None:
    with pytest.raises(ValidationError, match="crop_pixels belongs to a disease card"):
        ModelCard(role="lungs", input_size=96, crop_pixels="radiograph", **FIELDS)
