from pathlib import Path

import numpy as np
import pytest

from models.phantom import draw_phantom, phantom_lungs
from models.quality.features import shrink
from models.quality.rule import ChestRule, load_rule
from models.training.doubts.alterations import INVERSION, PARTS, TURNS, exposed
from models.training.doubts.drawings import DRAWN_KINDS, draw_other
from models.training.doubts.regression import fit_rule
from models.training.doubts.samples import CHEST, EXPOSED, HELD_OUT, Sample, expected_flag
from tests.models.test_workflow import lung_mask
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
    return fit_rule(samples(8), "a" * 64)


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
    without = fit_rule([sample for sample in samples(8) if sample.kind not in HELD_OUT], "a" * 64)
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
