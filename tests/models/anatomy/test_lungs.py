import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.anatomy.lungs import (
    Box,
    LungPair,
    MaskView,
    clean_lungs,
    cut_zones,
    lungs_box,
    min_component_area,
    separate_lungs,
)
from tests.models.strategies import SIZE, WHOLE, blobs, two_lungs


def ellipse(*shapes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for x, y, width, height in shapes:
        cv2.ellipse(mask, (x, y), (width, height), 0, 0, 360, 1, -1)
    return mask.astype(bool)


LEFT, RIGHT = (150, 256, 70, 160), (360, 256, 70, 160)


@given(arrays(bool, (64, 48), elements=st.booleans()))
def test_zones_partition_any_mask_and_have_equal_areas_within_a_row(mask: np.ndarray) -> None:
    lung = cut_zones(mask)
    lower, middle, upper = (np.count_nonzero(mask[rows]) for rows in lung.zones)
    total, row = np.count_nonzero(mask), np.count_nonzero(mask, axis=1).max()
    assert lower + middle + upper == total
    assert 0 <= lung.middle_top <= lung.lower_top <= len(mask)
    assert abs(lower - total / 3) <= row + 1
    assert abs(lower + middle - 2 * total / 3) <= row + 1


@given(blobs(left=True))
@settings(max_examples=25)
def test_zones_of_a_lung_are_thirds(mask: np.ndarray) -> None:
    lung = cut_zones(mask.astype(bool))
    areas = [np.count_nonzero(lung.mask[rows]) for rows in lung.zones]
    assert max(areas) - min(areas) <= 3 * np.count_nonzero(mask, axis=1).max()


@given(two_lungs())
@settings(max_examples=25)
def test_two_lungs_are_told_apart_alike_by_both_rules(mask: np.ndarray) -> None:
    robust, reference = (separate_lungs(mask, rule, WHOLE) for rule in ("robust", "reference"))
    assert robust.found == 2
    assert not robust.merged
    for side in ("left", "right"):
        one, other = getattr(robust, side), getattr(reference, side)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert one.zones == other.zones
    assert np.argwhere(robust.left.mask)[:, 1].mean() < np.argwhere(robust.right.mask)[:, 1].mean()


@given(two_lungs())
@settings(max_examples=15)
def test_a_mirrored_mask_has_mirrored_lungs(mask: np.ndarray) -> None:
    straight, mirrored = (separate_lungs(picture, "robust", WHOLE) for picture in (mask, mask[:, ::-1].copy()))
    np.testing.assert_array_equal(straight.left.mask, mirrored.right.mask[:, ::-1])
    np.testing.assert_array_equal(straight.right.mask, mirrored.left.mask[:, ::-1])
    assert straight.left.zones == mirrored.right.zones


def test_of_three_components_the_two_largest_are_the_lungs() -> None:
    stomach = ellipse((400, 470, 40, 30))
    pair = separate_lungs(ellipse(LEFT, (360, 220, 70, 160)) | stomach, "robust", WHOLE)
    np.testing.assert_array_equal(pair.left.mask, ellipse(LEFT))
    np.testing.assert_array_equal(pair.right.mask, ellipse((360, 220, 70, 160)))


def test_lungs_that_touch_are_cut_at_the_neck() -> None:
    bridge = np.zeros((SIZE, SIZE), bool)
    bridge[200:240, 150:360] = True
    pair = separate_lungs(ellipse(LEFT, RIGHT) | bridge, "robust", WHOLE)
    assert pair.merged
    assert np.count_nonzero(pair.left.mask & ellipse(LEFT)) / np.count_nonzero(ellipse(LEFT)) > 0.99
    assert np.count_nonzero(pair.right.mask & ellipse(RIGHT)) / np.count_nonzero(ellipse(RIGHT)) > 0.99
    assert not (pair.left.mask & pair.right.mask).any()


def test_touching_lungs_with_a_fragment_beside_them_are_still_cut() -> None:
    bridge = np.zeros((SIZE, SIZE), bool)
    bridge[200:240, 150:360] = True
    pair = separate_lungs(ellipse(LEFT, RIGHT, (480, 20, 8, 8), (20, 20, 8, 8)) | bridge, "robust", WHOLE)
    assert pair.merged


@pytest.mark.parametrize(("lung", "side"), [(LEFT, "left"), (RIGHT, "right")])
def test_a_single_lung_is_never_taken_for_two(lung: tuple[int, int, int, int], side: str) -> None:
    pair = separate_lungs(ellipse(lung), "robust", WHOLE)
    assert pair.found == 1
    assert getattr(pair, side) is not None


def test_the_side_of_a_single_lung_survives_the_crop() -> None:
    # In the crop a single lung fills the whole frame; only the view tells on which side it stood.
    crop = ellipse((256, 256, 255, 255))
    on_right = MaskView(Box(280, 60, 420, 340), 480)
    pair = separate_lungs(crop, "robust", on_right)
    assert pair.found == 1
    assert pair.right is not None


def test_no_lungs() -> None:
    empty = np.zeros((SIZE, SIZE), bool)
    assert separate_lungs(empty, "robust", WHOLE) == LungPair(None, None)
    assert separate_lungs(empty, "reference", WHOLE).found == 2


def test_small_components_are_dropped_and_the_limit_scales_with_the_area() -> None:
    assert min_component_area(384) == 6000
    assert min_component_area(768) == 24000
    mask = ellipse(LEFT, (400, 400, 20, 20))
    cleaned = clean_lungs(mask, min_component_area(SIZE))
    assert not cleaned[390:410, 390:410].any()
    assert np.count_nonzero(cleaned & ellipse(LEFT)) > 0.99 * np.count_nonzero(ellipse(LEFT))


def test_box_of_nothing_is_none() -> None:
    assert lungs_box(np.zeros((8, 8), bool)) is None
    assert lungs_box(ellipse((100, 50, 10, 20))) == Box(90, 30, 111, 71)
