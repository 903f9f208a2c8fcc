"""Masks as polygons."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.reports.contours import TOLERANCE, contours

masks = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def outer_borders(mask: np.ndarray) -> list[np.ndarray]:
    """Every border pixel of every component, each int [n, 2] as x, y."""
    return [found[:, 0] for found in cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]]


def filled(polygons: list[list[list[int]]], shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [np.array(polygon, np.int32)], 1)
    return canvas > 0


def blobs(size: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((size, size)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), size / 16) > 0.5


def test_rectangle_is_its_four_corners() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[4:10, 7:25] = True
    (polygon,) = contours(mask)
    assert sorted(polygon) == [[7, 4], [7, 9], [24, 4], [24, 9]]


def test_one_polygon_for_each_component() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[2:6, 2:6] = mask[2:6, 20:28] = mask[12:18, 10:14] = True
    assert len(contours(mask)) == 3


def test_holes_are_left_out() -> None:
    ring = np.ones((20, 20), np.bool_)
    ring[5:15, 5:15] = False
    assert len(contours(ring)) == 1


def test_empty_mask_and_specks_have_none() -> None:
    mask = np.zeros((20, 30), np.bool_)
    assert contours(mask) == []
    mask[3, 3] = mask[10, 5:20] = True
    assert contours(mask) == []


def test_polygons_are_plain_json() -> None:
    polygons = contours(blobs(64, seed=1))
    assert polygons
    assert json.loads(json.dumps(polygons)) == polygons


@pytest.mark.parametrize("seed", range(3))
def test_area_agrees_with_the_mask(seed: int) -> None:
    mask = blobs(256, seed)
    solid = filled([border.tolist() for border in outer_borders(mask)], mask.shape)
    drawn = filled(contours(mask), mask.shape)
    assert np.count_nonzero(drawn) == pytest.approx(np.count_nonzero(solid), rel=0.01)
    assert np.count_nonzero(drawn ^ solid) < 0.03 * np.count_nonzero(solid)


def test_simplified_to_far_fewer_points() -> None:
    mask = blobs(512, seed=3)
    points = sum(map(len, contours(mask)))
    assert points < 0.25 * sum(map(len, outer_borders(mask)))


@settings(max_examples=200)
@given(masks)
def test_polygons_follow_the_borders(mask: np.ndarray) -> None:
    polygons = contours(mask)
    with_area = [border for border in outer_borders(mask) if cv2.contourArea(border) > 0]
    assert all(len(polygon) >= 3 for polygon in polygons)
    assert all(mask[y, x] for polygon in polygons for x, y in polygon)
    assert len(with_area) <= len(polygons) <= len(outer_borders(mask))
    for border in with_area:
        near = [polygon for polygon in polygons if tuple(polygon[0]) in set(map(tuple, border.tolist()))]
        assert len(near) == 1
        corners = np.array(near[0], np.int32)
        # Each side keeps to the tolerance; OpenCV's last pass may take one corner more.
        assert all(abs(cv2.pointPolygonTest(corners, (float(x), float(y)), True)) <= 2 * TOLERANCE for x, y in border)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.bool_)])
def test_refuses_what_is_no_mask(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bool"):
        contours(mask)
