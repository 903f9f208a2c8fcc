"""The radiograph drawn by code."""

import cv2
import numpy as np
import pytest

from models.anatomy.lungs import Box, MaskView, clean_lungs, min_component_area, separate_lungs
from models.anatomy.severity import ZONES
from models.phantom import draw_phantom, phantom_lungs
from models.workflow import Workflow

SIZES = (256, 512, 1024, 2048)
TILES = [[97, 104, 105, 97], [113, 110, 120, 112], [82, 142, 161, 80], [117, 185, 186, 116]]
"""The mean gray of each sixteenth of the phantom."""


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def zone_masks(size: int) -> dict[str, np.ndarray]:
    """Each zone of the drawn lungs, bool [size, size]."""
    lungs = phantom_lungs(size)
    pair = separate_lungs(lungs, "robust", MaskView(Box(0, 0, size, size), size))
    masks = {}
    for first, lung in ((0, pair.left), (3, pair.right)):
        assert lung is not None
        for name, rows in zip(ZONES[first : first + 3], lung.zones, strict=True):
            masks[name] = np.zeros_like(lungs)
            masks[name][rows] = lung.mask[rows]
    return masks


@pytest.mark.parametrize("size", [64, 300, *SIZES])
def test_has_the_size_asked(size: int) -> None:
    picture = draw_phantom(size)
    assert (picture.shape, picture.dtype) == ((size, size), np.uint8)
    assert (phantom_lungs(size).shape, phantom_lungs(size).dtype) == ((size, size), np.bool_)


def test_is_the_same_every_time_and_everywhere() -> None:
    """The figures were taken once; a level apart is left to other builds of OpenCV."""
    assert (draw_phantom(512) == draw_phantom(512)).all()
    tiles = cv2.resize(draw_phantom(1024), (4, 4), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(tiles.astype(int), TILES, atol=1)


@pytest.mark.parametrize("size", SIZES)
def test_is_the_same_picture_at_any_size(size: int) -> None:
    small = cv2.resize(draw_phantom(size), (128, 128), interpolation=cv2.INTER_AREA).astype(int)
    whole = cv2.resize(draw_phantom(1024), (128, 128), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small - whole).mean() < 1


@pytest.mark.parametrize("size", [64, *SIZES])
def test_lungs_are_two_components_side_by_side(size: int) -> None:
    count, _, stats, centroids = cv2.connectedComponentsWithStats(phantom_lungs(size).view(np.uint8))
    assert count == 3
    assert (stats[1:, cv2.CC_STAT_AREA] > min_component_area(size)).all()
    left, right = sorted(centroids[1:, 0])
    assert left < size / 2 < right


def test_lungs_are_darker_than_the_chest_around_them() -> None:
    picture, lungs = draw_phantom(512), phantom_lungs(512)
    around = cv2.dilate(lungs.view(np.uint8), np.ones((41, 41), np.uint8)).astype(bool) & ~lungs
    assert picture[lungs].mean() + 50 < picture[around].mean()
    assert picture.max() - picture.min() > 150


@pytest.mark.parametrize("zone", ZONES)
def test_haze_lies_in_its_zone(zone: str) -> None:
    masks = zone_masks(512)
    added = draw_phantom(512, [zone]).astype(int) - draw_phantom(512)
    assert added[masks[zone]].mean() > 15
    assert added[masks[zone]].std() > 5
    for other, mask in masks.items():
        if other != zone:
            assert added[mask].mean() < 3


@pytest.mark.parametrize("size", [63, 0, -1])
def test_refuses_sizes_that_show_nothing(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        draw_phantom(size)
    with pytest.raises(ValueError, match=str(size)):
        phantom_lungs(size)


def test_refuses_unknown_zones() -> None:
    with pytest.raises(ValueError, match="middle_lobe"):
        draw_phantom(256, ["right_lower", "middle_lobe"])


@pytest.mark.parametrize(
    ("size", "diseased"),
    [*((size, ()) for size in SIZES), (512, ("right_lower", "left_middle")), (512, ZONES)],
    ids=str,
)
def test_embedded_weights_find_its_lungs(embedded: Workflow, size: int, diseased: tuple[str, ...]) -> None:
    side = embedded.lungs.input_size
    picture = cv2.resize(draw_phantom(size, diseased), (side, side), interpolation=cv2.INTER_LINEAR)
    maps, _ = embedded.lungs.run([picture])
    found = clean_lungs(maps[0] > 0.5, min_component_area(side))
    pair = separate_lungs(found, "robust", MaskView(Box(0, 0, side, side), side))
    assert pair.found == 2
    assert not pair.merged
    assert dice(found, phantom_lungs(side)) > 0.85
