from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pack import PackError
from models.phantom import draw_phantom, phantom_lungs
from models.quality.features import shrink
from models.quality.rule import ChestRule, load_rule
from models.training.doubts.__main__ import held_out_report
from models.training.doubts.alterations import INVERSION, PARTS, TURNS, exposed
from models.training.doubts.drawings import DRAWN_KINDS, draw_other
from models.training.doubts.regression import fit_rule
from models.training.doubts.samples import (
    CHEST,
    EXPOSED,
    HELD_OUT,
    WRONG_COPIES,
    Sample,
    expected_flag,
    pictures_of,
    wrong_for_fitting,
)
from tests.support.pictures import lung_mask
from tests.support.stubs import FixedMap, stub_workflow


def samples(count: int) -> list[Sample]:
    """Phantoms with their own lungs, and other pictures with none or with turned ones."""
    made = []
    workflow = stub_workflow(FixedMap(lung_mask()))
    cropped = workflow.crop_lungs(workflow.prepare(draw_phantom(320)), lung_mask().astype(np.float32))
    lungs = phantom_lungs(320).astype(np.float32)
    for number in range(count):
        rng = np.random.default_rng(number)
        picture = exposed(draw_phantom(320), rng)
        upright = {CHEST: picture, EXPOSED: exposed(picture, rng)}
        pictures = [(kind, pixels, lungs) for kind, pixels in upright.items()]
        pictures += [("turned by 90", np.rot90(picture), np.rot90(lungs))]
        pictures += [(kind, draw_other(kind, number), np.zeros_like(lungs)) for kind in ("laterals", "noise", "heads")]
        for kind, pixels, found in pictures:
            gray, shrunk = (shrink(np.ascontiguousarray(array)) for array in (pixels, found))
            made.append(Sample(kind, str(number), gray, shrunk, cropped))
    return made


@pytest.fixture(scope="module")
def rule() -> ChestRule:
    return fit_rule(samples(8), "a" * 64).rule


def test_a_fitted_rule_tells_its_kinds_apart(rule: ChestRule, tmp_path: Path) -> None:
    file = tmp_path / "quality.json"
    file.write_text(rule.to_json())
    read = load_rule(file)
    lungs = phantom_lungs(320).astype(np.float32)
    picture = draw_phantom(320)
    assert read.flags(picture, lungs) == ()
    assert read.flags(255 - picture, lungs, inverted=True) == ()
    turned = np.ascontiguousarray(np.rot90(picture)), np.ascontiguousarray(np.rot90(lungs))
    assert read.flags(*turned) == ("rotated",)
    assert read.flags(draw_other("laterals", 99), np.zeros_like(lungs)) == ("not_frontal",)
    assert read.flags(draw_other("noise", 99), np.zeros_like(lungs)) == ("not_chest",)
    assert read.is_inverted(255 - picture)
    assert not read.is_inverted(picture)


def test_what_is_held_out_does_not_move_the_rule(rule: ChestRule) -> None:
    without = fit_rule([sample for sample in samples(8) if sample.kind not in HELD_OUT], "a" * 64).rule
    np.testing.assert_allclose(without.weights, rule.weights, atol=1e-6)


@pytest.mark.parametrize("kind", [*TURNS, *INVERSION, *PARTS])
def test_an_alteration_changes_the_picture_and_is_repeatable(kind: str) -> None:
    picture = draw_phantom(320)
    alter = (TURNS | INVERSION | PARTS)[kind]
    made = [alter(picture, np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*made)
    assert made[0].dtype == np.uint8
    assert made[0].shape != picture.shape or (made[0] != picture).mean() > 0.3


def test_drawings_vary_and_are_repeatable() -> None:
    for kind in DRAWN_KINDS:
        one, again, other = draw_other(kind, 1), draw_other(kind, 1), draw_other(kind, 2)
        np.testing.assert_array_equal(one, again)
        assert (one != other).any()
        assert expected_flag(kind) in ("not_chest", "not_frontal")


def test_a_mirrored_chest_is_told_from_a_right_one(rule: ChestRule) -> None:
    lungs, picture = phantom_lungs(320).astype(np.float32), draw_phantom(320)
    mirrored = np.ascontiguousarray(picture[:, ::-1]), np.ascontiguousarray(lungs[:, ::-1])
    assert rule.flags(picture, lungs) == ()
    assert rule.flags(*mirrored) == ("mirrored",)
    assert rule.flags(255 - mirrored[0], mirrored[1], inverted=True) == ("mirrored",)


def test_what_was_fitted_on_is_judged_by_rules_that_did_not_see_it() -> None:
    found = fit_rule(samples(12), "a" * 64)
    assert set(found.kinds) == {CHEST, EXPOSED, "turned by 90", "laterals", "noise"}
    assert found.refused[found.kinds == "turned by 90"].all()
    assert not found.refused[found.kinds == CHEST].all()
    assert len(found.mirrored) == 12
    assert (found.mirrored > 0).mean() > 0.8
    assert f"| {CHEST} | 12 |" in held_out_report(found)


def test_real_pictures_are_of_the_kind_that_their_name_says(tmp_path: Path) -> None:
    for name in ("limb007", "limb-8", "ct1", "photo003"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw_phantom(160))
    found = list(pictures_of(tmp_path, without=["limb-8"]))
    assert [(kind, name) for kind, name, _ in found] == [
        ("real: ct", "ct1"),
        ("real: limb", "limb007"),
        ("real: photo", "photo003"),
    ]
    fitted = list(wrong_for_fitting(tmp_path, without=["limb-8"]))
    assert {name for _, name, _ in fitted} == {"ct1", "limb007", "photo003"}
    assert [kind for kind, name, _ in fitted if name == "ct1"] == ["real: ct", *["real: ct, altered"] * WRONG_COPIES]
    with pytest.raises(PackError, match="expected pictures"):
        list(pictures_of(tmp_path / "nothing"))
