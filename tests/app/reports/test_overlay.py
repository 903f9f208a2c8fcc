"""The overlay picture and the encoders."""

from dataclasses import replace
from io import BytesIO
from math import nan
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from app.reports.overlay import CYAN, WHITE, YELLOW, PictureFormat, draw_overlay, encode_mask, encode_picture
from models.analysis import Analysis
from tests.support.masks import GivenMasks

SIDE = 400
CUTS = (150, 240)
"""The first rows of the middle and the lower zones."""
LUNG_ROWS = slice(60, 330)
LEFT, RIGHT = slice(60, 160), slice(240, 340)
CAPTION_ROWS = 20
REACH = 5
"""How far a line may reach beyond what it surrounds."""
KNOWN = (0.5, 0.1, 0.31, 0.0, 0.9, 0.2)


def zone_labels(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Two upright rectangles, each in three zones of 90 rows."""
    zones = np.zeros((height, width), np.uint8)
    for first, columns in ((1, LEFT), (4, RIGHT)):
        zones[CUTS[1] : LUNG_ROWS.stop, columns] = first
        zones[CUTS[0] : CUTS[1], columns] = first + 1
        zones[LUNG_ROWS.start : CUTS[0], columns] = first + 2
    return zones


def analysis_of(
    zones: np.ndarray,
    disease: np.ndarray | None = None,
    shares: tuple[float, ...] = (nan,) * 6,
    lungs: np.ndarray | None = None,
) -> Analysis:
    """Scored, whatever the shares."""
    return Analysis(
        score=3,
        shares=shares,
        threshold=0.31,
        margin=None,
        diseased_share=None,
        disease_probability=None,
        flags=(),
        masks=GivenMasks(
            zones > 0 if lungs is None else lungs,
            np.zeros(zones.shape, np.bool_) if disease is None else disease,
            zones,
        ),
    )


def radiograph(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(5).integers(30, 220, (height, width), dtype=np.uint8)


def in_gray(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2)


def same(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """bool [H, W]: where the picture still shows the radiograph."""
    return (picture == in_gray(pixels)).all(axis=2)


def shows(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """bool [H, W]: where the picture shows a colour; smooth lines one pixel wide come a little fainter."""
    return (np.abs(picture.astype(int) - colour) <= 30).all(axis=2)


def widened(mask: np.ndarray, reach: int = REACH) -> np.ndarray:
    return cv2.dilate(mask.view(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0


def borders(mask: np.ndarray) -> np.ndarray:
    return mask & ~(cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0)


def test_disease_is_redder_and_the_rest_untouched() -> None:
    pixels, zones = radiograph(), zone_labels()
    disease = np.zeros(zones.shape, np.bool_)
    disease[260:300, 80:130] = True
    before = draw_overlay(pixels, analysis_of(zones)).astype(int)
    after = draw_overlay(pixels, analysis_of(zones, disease)).astype(int)
    redness = (after[..., 2] - after[..., 0]) - (before[..., 2] - before[..., 0])
    assert (redness[disease] > 60).all()
    changed = (before != after).any(axis=2)
    assert not (changed & ~widened(disease, 2)).any()


def test_radiograph_shows_through_the_disease() -> None:
    zones = zone_labels()
    disease = zones == 1
    dark, bright = (
        draw_overlay(np.full(zones.shape, level, np.uint8), analysis_of(zones, disease))[285, 110].astype(int)
        for level in (40, 200)
    )
    assert (bright > dark + 60).all()


def test_outside_of_lines_and_text_the_radiograph_is_untouched() -> None:
    pixels, zones = radiograph(), zone_labels()
    kept = same(draw_overlay(pixels, analysis_of(zones, shares=KNOWN)), pixels)
    assert kept[: SIDE - CAPTION_ROWS][~widened(zones > 0)[: SIDE - CAPTION_ROWS]].all()
    assert not kept[SIDE - CAPTION_ROWS :].all()
    inside = kept[LUNG_ROWS, LEFT]
    assert inside.mean() > 0.8


def test_lungs_are_outlined_in_cyan() -> None:
    pixels, zones = radiograph(), zone_labels()
    near_cyan = widened(shows(draw_overlay(pixels, analysis_of(zones)), CYAN), 1)
    assert near_cyan[borders(zones > 0)].all()


def test_lungs_that_touch_are_outlined_apart() -> None:
    zones = zone_labels()
    zones[LUNG_ROWS, 160:240] = zones[LUNG_ROWS, 240:241]
    picture = draw_overlay(radiograph(), analysis_of(zones))
    between = shows(picture, CYAN)[LUNG_ROWS, 158:162].any(axis=1)
    assert between.mean() > 0.95


def test_lung_without_a_zone_is_outlined_too() -> None:
    zones = zone_labels()
    stray = np.zeros(zones.shape, np.bool_)
    stray[100:140, 190:210] = True
    picture = draw_overlay(radiograph(), analysis_of(zones, lungs=(zones > 0) | stray))
    assert widened(shows(picture, CYAN), 1)[borders(stray)].all()


@pytest.mark.parametrize("columns", [LEFT, RIGHT])
@pytest.mark.parametrize("cut", CUTS)
def test_zone_borders_are_dashed_at_the_cuts(cut: int, columns: slice) -> None:
    cyan = shows(draw_overlay(radiograph(), analysis_of(zone_labels())), CYAN)
    inner = slice(columns.start + REACH, columns.stop - REACH)
    dashes = cyan[cut, inner]
    assert 0.4 < dashes.mean() < 0.9
    assert np.count_nonzero(np.diff(dashes.astype(int))) >= 10
    assert not cyan[cut - 30 : cut - REACH, inner].any()
    assert not cyan[cut + REACH : cut + 30, inner].any()
    assert not cyan[cut, 160 + REACH : 240 - REACH].any()


def test_line_at_the_picture_s_edge() -> None:
    zones = np.ones((SIDE, SIDE), np.uint8)
    picture = draw_overlay(radiograph(), analysis_of(zones))
    assert shows(picture, CYAN)[:, 0].mean() > 0.9


@pytest.mark.parametrize("missing", range(6))
def test_only_known_shares_are_written(missing: int) -> None:
    pixels, zones = radiograph(), zone_labels()
    shares = tuple(nan if index == missing else share for index, share in enumerate(KNOWN))
    kept = same(draw_overlay(pixels, analysis_of(zones, shares=shares)), pixels)
    for label in range(1, 7):
        within = cv2.erode((zones == label).view(np.uint8), np.ones((11, 11), np.uint8)) > 0
        assert kept[within].all() == (label == missing + 1)


def test_shares_over_the_threshold_stand_out() -> None:
    zones = zone_labels()
    picture = draw_overlay(radiograph(), analysis_of(zones, shares=KNOWN))
    for label, share in enumerate(KNOWN, start=1):
        within = picture[zones == label][None]
        assert shows(within, YELLOW).any() == (share > 0.31)
        assert shows(within, WHITE).any() == (share <= 0.31)


def test_text_says_the_share() -> None:
    zones = zone_labels()
    low, near, high = (
        draw_overlay(radiograph(), analysis_of(zones, shares=(share,) + (nan,) * 5)) for share in (0.12, 0.1204, 0.13)
    )
    assert (low == near).all()
    assert (low != high).any()


@pytest.mark.parametrize("level", [0, 255])
def test_text_has_contrast_on_any_ground(level: int) -> None:
    zones = zone_labels()
    picture = draw_overlay(np.full(zones.shape, level, np.uint8), analysis_of(zones, shares=KNOWN))
    within = picture[(zones == 2) & ~widened(borders(zones == 2))]
    assert within.min() < 40
    assert within.max() == 255


def test_share_stays_inside_a_crescent() -> None:
    """The middle of the zone's box lies outside it."""
    zones = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(zones, (200, 200), 160, 1, cv2.FILLED)
    cv2.circle(zones, (230, 200), 110, 0, cv2.FILLED)
    picture = draw_overlay(radiograph(), analysis_of(zones, shares=(0.9,) + (nan,) * 5))
    text = shows(picture, YELLOW)
    assert text.any()
    assert (zones[text] == 1).all()


def test_without_lungs_only_the_caption_is_added() -> None:
    pixels = radiograph()
    kept = same(draw_overlay(pixels, analysis_of(np.zeros((SIDE, SIDE), np.uint8))), pixels)
    assert kept[: SIDE - CAPTION_ROWS].all()
    assert not kept[SIDE - CAPTION_ROWS :].all()


@pytest.mark.parametrize(("height", "width"), [(1000, 300), (300, 1000), (1000, 1000)])
def test_large_radiographs_are_shrunk(height: int, width: int) -> None:
    zones = np.zeros((height, width), np.uint8)
    zones[height // 4 : height // 2, width // 4 : width // 2] = 1
    zones[height // 2 : height * 3 // 4, width // 4 : width // 2] = 2
    picture = draw_overlay(np.full((height, width), 90, np.uint8), analysis_of(zones, zones == 1), max_side=500)
    assert picture.shape == (height // 2, width // 2, 3)
    assert (picture[height // 4 + 20, width // 16 : width // 10] == 90).all()
    blue, _, red = picture[height * 3 // 16, width * 3 // 16]
    assert red > blue


def test_lines_grow_with_the_picture() -> None:
    covered = []
    for side in (400, 1600):
        zones = cv2.resize(zone_labels(), (side, side), interpolation=cv2.INTER_NEAREST)
        picture = draw_overlay(np.zeros((side, side), np.uint8), analysis_of(zones))
        covered.append(np.count_nonzero(shows(picture, CYAN)[side // 4]))
    assert covered[1] > 2 * covered[0]


@settings(max_examples=60)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 6)), st.booleans())
def test_draws_whatever_the_masks_are(zones: np.ndarray, shrink: bool) -> None:
    pixels = np.full(zones.shape, 100, np.uint8)
    picture = draw_overlay(pixels, analysis_of(zones, zones % 2 > 0, KNOWN), max_side=12 if shrink else 2048)
    assert max(picture.shape[:2]) == min(max(zones.shape), 12 if shrink else 2048)
    assert (pixels == 100).all()


def test_without_a_score_no_finding_is_drawn_and_a_heading_says_why() -> None:
    zones = zone_labels()
    pixels = np.full((SIDE, SIDE), 100, np.uint8)
    found = analysis_of(zones, zones % 2 > 0, KNOWN)
    refused = replace(found, score=None, flags=("not_frontal",))
    scored, unscored = draw_overlay(pixels, found), draw_overlay(pixels, refused)
    inside = (slice(CUTS[0] + 10, CUTS[1] - 10), slice(LEFT.start + 10, LEFT.stop - 10))
    assert (scored[inside] != 100).any()
    assert (unscored[inside] == 100).all()
    assert (scored[:20] == 100).all()
    assert (unscored[:20] != 100).any(), "the heading"
    # The lungs stay: they show why there is no score.
    assert (unscored == CYAN).all(axis=2).any()


def test_refuses_another_radiograph_s_analysis() -> None:
    with pytest.raises(ValueError, match=r"\[400, 400\].*\[400, 401\]"):
        draw_overlay(radiograph(400, 401), analysis_of(zone_labels()))
    with pytest.raises(ValueError, match="float64"):
        draw_overlay(np.zeros((SIDE, SIDE)), analysis_of(zone_labels()))
    with pytest.raises(ValueError, match="found 0"):
        draw_overlay(radiograph(), analysis_of(zone_labels()), max_side=0)


@pytest.mark.parametrize("format", get_args(PictureFormat))
def test_pictures_decode_to_what_was_drawn(format: PictureFormat) -> None:
    zones = zone_labels(SIDE, SIDE + 50)
    smooth = cv2.GaussianBlur(radiograph(SIDE, SIDE + 50), (0, 0), 9)
    picture = draw_overlay(smooth, analysis_of(zones, zones == 1))
    media_type, data = encode_picture(picture, format)
    with Image.open(BytesIO(data)) as image:
        assert image.get_format_mimetype() == media_type == f"image/{format}"
        assert image.size == (SIDE + 50, SIDE)
        decoded = np.asarray(image.convert("RGB"))[..., ::-1]
    assert np.abs(decoded.astype(int) - picture).mean() < 4
    if format == "png":
        assert (decoded == picture).all()


def test_refuses_what_a_format_cannot_hold() -> None:
    with pytest.raises(ValueError, match="webp"):
        encode_picture(np.zeros((4, 16384, 3), np.uint8), "webp")


@settings(max_examples=60)
@given(arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_masks_round_trip(mask: np.ndarray) -> None:
    with Image.open(BytesIO(encode_mask(mask))) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        assert (np.asarray(image) == mask * np.uint8(255)).all()
