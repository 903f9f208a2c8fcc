"""Hot pixels, burnt-in markers and labels leave the gray range of a picture of more than 8 bits alone."""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.intake import Limits, decode
from app.intake.value_range import value_range
from app.settings import Settings
from app.startup import load_workflow
from models import quality
from models.phantom import draw_phantom
from tests.support.dicoms import dicom
from tests.support.samples import png, save, tiff

Deep: TypeAlias = NDArray[np.uint16]
SIDE = 256
CHEST: Deep = np.uint16(1000) + np.uint16(10) * draw_phantom(SIDE).astype(np.uint16)
LOW, HIGH = int(CHEST.min()), int(CHEST.max())


def spoilt(name: str, value: int, picture: Deep = CHEST) -> Deep:
    """``picture`` with pixels of another ``value``, as detectors and archives leave them."""
    made, side = picture.copy(), len(picture)
    label = round(side * 0.02**0.5)
    match name:
        case "one pixel":
            made[side // 2, side // 2] = value
        case "pixels":
            places = np.random.default_rng(5).integers(0, side, (2, 10))
            made[tuple(places)] = np.linspace((int(picture.max()) + value) / 2, value, 10) if value else 0
        case "row":
            made[side // 3] = value
        case "block":
            made[4:7, 4:7] = value
        case "marker":
            made[8 : 8 + side // 16, 8 : 8 + side // 20] = value
        case "label of 2 %":
            made[-label:, -label:] = value
        case "letters":
            mask = np.zeros(picture.shape, np.uint8)
            cv2.putText(mask, "R AP", (4, side // 8), cv2.FONT_HERSHEY_SIMPLEX, side / 300, 255, 2, cv2.LINE_AA)
            share = cv2.GaussianBlur(mask, (3, 3), 0) / 255
            made = np.rint(picture + share * (float(value) - picture)).astype(np.uint16)
    return made


KINDS = ("one pixel", "pixels", "row", "block", "marker", "label of 2 %", "letters")


def range_of(picture: Deep) -> tuple[float, float]:
    return value_range(picture, (float(picture.min()), float(picture.max())))


def test_all_values_of_a_radiograph_count() -> None:
    assert range_of(CHEST) == (LOW, HIGH)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("value", [round(1.4 * HIGH), 2 * HIGH, 4 * HIGH, 65535])
def test_what_lies_far_beyond_all_else_does_not(name: str, value: int) -> None:
    low, high = range_of(spoilt(name, value))
    assert max(abs(low - LOW), abs(high - HIGH)) <= 0.02 * (HIGH - LOW)


@pytest.mark.parametrize("name", KINDS[:-1])
def test_nor_does_what_is_far_darker(name: str) -> None:
    assert range_of(spoilt(name, 0)) == (LOW, HIGH)


def test_both_ends_at_once() -> None:
    assert range_of(spoilt("one pixel", 65535, spoilt("marker", 0))) == (LOW, HIGH)


@pytest.mark.parametrize("size", [(64, 64), (70, 1400), (2000, 1900)])
def test_at_any_size(size: tuple[int, int]) -> None:
    picture = np.asarray(cv2.resize(CHEST, size, interpolation=cv2.INTER_LINEAR), np.uint16)
    spoilt_picture = picture.copy()
    spoilt_picture[10, 10] = 65535
    low, high = range_of(spoilt_picture)
    assert abs(low - LOW) < 0.03 * (HIGH - LOW) and abs(high - picture.max()) < 0.03 * (HIGH - LOW)


def test_a_picture_that_is_steep_all_over_has_no_outliers() -> None:
    noise = np.random.default_rng(2).integers(0, 4096, (64, 64)).astype(np.uint16)
    noise[3, 3] = 65535
    assert range_of(noise)[1] == 65535


def test_many_single_pixels_are_no_few() -> None:
    chance = np.random.default_rng(4).random(CHEST.shape)
    assert range_of(np.where(chance < 0.015, np.uint16(4 * HIGH), CHEST))[1] <= HIGH
    assert range_of(np.where(chance < 0.05, np.uint16(4 * HIGH), CHEST))[1] == 4 * HIGH


def test_a_picture_of_few_values() -> None:
    picture = np.full((64, 64), 700, np.uint16)
    picture[:2] = 900
    assert range_of(picture) == (700, 900)


def signed(picture: Deep) -> NDArray[np.int16]:
    return (picture.astype(np.int32) - 32768).astype(np.int16)


FORMATS: dict[str, Callable[[Deep], bytes]] = {
    "PNG": lambda picture: save(picture, "PNG"),
    "PNG in colour": lambda picture: png(np.stack([picture] * 3, axis=-1).astype(">u2"), 16, 2),
    "TIFF": lambda picture: tiff(picture, 1),
    "TIFF big-endian": lambda picture: tiff(picture, 1, order=">"),
    "TIFF of 32 bits": lambda picture: tiff(picture.astype(np.uint32) * 65536, 1),
    "TIFF, floating point": lambda picture: tiff(picture.astype(np.float32) / 7, 1, 3),
    "DICOM": dicom,
    "DICOM, signed": lambda picture: dicom(signed(picture)),
    "DICOM, rescaled": lambda picture: dicom(picture, RescaleSlope=0.5, RescaleIntercept=-300),
    "DICOM, falling": lambda picture: dicom(65535 - picture, RescaleSlope=-1, RescaleIntercept=65535),
    "DICOM, MONOCHROME1": lambda picture: dicom(65535 - picture, PhotometricInterpretation="MONOCHROME1"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_one_range_for_all_formats(name: str) -> None:
    expected = np.rint((CHEST.astype(float) - LOW) / (HIGH - LOW) * 255)
    for kind in ("one pixel", "label of 2 %"):
        made = spoilt(kind, 65535)
        found = decode(FORMATS[name](made), Limits()).pixels.astype(int)
        same = made == CHEST
        assert np.abs(found - expected)[same].max() <= 1
        assert (found[~same] == 255).all()


def test_padding_does_not_count() -> None:
    padded = spoilt("row", 65535)
    padded[:60] = 0
    found = decode(dicom(padded, PixelPaddingValue=0), Limits()).pixels.astype(int)
    inside = CHEST[60:].astype(float)
    expected = np.rint((inside - inside.min()) / (inside.max() - inside.min()) * 255)
    same = padded[60:] == CHEST[60:]
    assert np.abs(found[60:] - expected)[same].max() <= 2


def test_what_a_larger_label_leaves_in_few_levels_is_flagged() -> None:
    made = CHEST.copy()
    assert quality.picture_flags(decode(save(made, "PNG"), Limits()).pixels, 512, 512) == ()
    made[: SIDE // 4, : SIDE // 4] = 4 * HIGH
    assert quality.picture_flags(decode(save(made, "PNG"), Limits()).pixels, 512, 512) == (quality.LOW_CONTRAST,)


@pytest.mark.slow
def test_no_share_moves_by_more_than_0_03() -> None:
    workflow = load_workflow(Settings(_env_file=None))
    chest = 16 * draw_phantom(512, ("right_lower", "left_middle")).astype(np.uint16)

    def shares(picture: Deep) -> NDArray[np.float64]:
        return np.array(workflow.analyse(decode(save(picture, "PNG"), Limits()).pixels).shares)

    known = shares(chest)
    for name in KINDS:
        found = shares(spoilt(name, 65535, chest))
        # What is large is seen: it moves shares by itself, also where it is no brighter than all else.
        seen = shares(spoilt(name, int(chest.max()), chest)) if name in ("row", "label of 2 %") else known
        assert np.abs(found - seen).max() <= 0.03, name
