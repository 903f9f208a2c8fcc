"""Doubts: what must not be scored is not, what is only doubtful is flagged, and a right radiograph is neither."""

import json
from pathlib import Path

import numpy as np
import pytest

from models import quality
from models.analysis import Analysis, Cropped
from models.anatomy.lungs import LungPair, cut_zones
from models.phantom import draw_phantom, phantom_lungs
from models.quality.features import chest_features, shrink, side_features, thumbnail
from models.quality.rule import KINDS, RULE_FILE, load_rule
from models.training.doubts.__main__ import main
from models.training.doubts.__main__ import report as report_table
from models.training.doubts.drawings import DRAWN_KINDS, draw_other
from models.training.doubts.samples import observe
from models.weights import default_weights
from models.weights.cards import read_card
from models.workflow import Workflow
from tests.support.pictures import lung_mask, radiograph
from tests.support.stubs import FixedMap, stub_workflow


def after_stage_one(workflow: Workflow, picture: np.ndarray, polarity: str = "as_is") -> Cropped:
    prepared = workflow.prepare(picture, polarity=polarity)
    return workflow.crop_lungs(prepared, workflow.lungs.run([prepared.picture])[0][0])


@pytest.mark.parametrize("diseased", [(), ("left_lower",), ("right_upper", "right_middle", "left_upper")])
@pytest.mark.parametrize("size", [256, 700])
def test_a_right_radiograph_is_scored_without_a_word(embedded: Workflow, size: int, diseased: tuple[str, ...]) -> None:
    cropped = after_stage_one(embedded, draw_phantom(size, diseased))
    assert cropped.flags == ()
    assert not cropped.refused


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("polarity", ["as_is", "auto"])
def test_a_turned_chest_is_not_scored(embedded: Workflow, quarters: int, polarity: str) -> None:
    picture = np.ascontiguousarray(np.rot90(draw_phantom(512), quarters))
    cropped = after_stage_one(embedded, picture, polarity)
    assert cropped.refused
    assert {quality.ROTATED, quality.NOT_FRONTAL, quality.NOT_CHEST} & set(cropped.flags)


@pytest.mark.parametrize("kind", DRAWN_KINDS)
def test_what_is_no_chest_is_not_scored(embedded: Workflow, kind: str) -> None:
    cropped = after_stage_one(embedded, draw_other(kind, 77_000))
    assert cropped.refused
    assert not quality.REFUSING.isdisjoint(cropped.flags)


def test_an_inverted_radiograph_is_scored_only_when_it_may_be_inverted_back(embedded: Workflow) -> None:
    picture = draw_phantom(512, ("left_lower",))
    right = embedded.analyse(picture)
    prepared = embedded.prepare(255 - picture)
    as_it_is = after_stage_one(embedded, 255 - picture)
    assert not prepared.corrected
    assert as_it_is.refused
    assert quality.INVERTED_POLARITY in as_it_is.flags
    corrected = embedded.prepare(255 - picture, polarity="auto")
    np.testing.assert_array_equal(corrected.picture, embedded.prepare(picture).picture)
    analysis = finish(embedded, after_stage_one(embedded, 255 - picture, "auto"))
    assert analysis.flags == (quality.INVERTED_POLARITY, *right.flags)
    assert analysis.score == right.score
    np.testing.assert_allclose(analysis.shares, right.shares, atol=1e-3)
    assert embedded.prepare(picture, polarity="auto").flags == ()


def finish(workflow: Workflow, cropped: Cropped) -> Analysis:
    return workflow.conclude(cropped, workflow.disease.run([workflow.disease.prepare(cropped.image)])[0][0], None)


@pytest.mark.parametrize("flag", sorted(quality.REFUSING - {quality.LUNGS_NOT_FOUND, quality.SINGLE_LUNG}))
def test_a_flag_that_comes_with_the_radiograph_can_refuse_it(flag: str) -> None:
    analysis = analysed_with(flag)
    assert analysis.score is None
    assert analysis.margin is None
    assert analysis.flags[0] == flag
    assert not np.isnan(analysis.shares).any()


@pytest.mark.parametrize("flag", [quality.VIEW_UNKNOWN, quality.BURNED_IN])
def test_a_flag_that_comes_with_the_radiograph_can_be_a_warning(flag: str) -> None:
    analysis = analysed_with(flag, flag)
    assert analysis.score is not None
    assert analysis.flags.count(flag) == 1


def analysed_with(*flags: str) -> Analysis:
    workflow = stub_workflow(FixedMap(lung_mask()))
    prepared = workflow.prepare(radiograph(), flags)
    return finish(workflow, workflow.crop_lungs(prepared, workflow.lungs.run([prepared.picture])[0][0]))


def test_the_rule_judges_only_the_network_it_was_fitted_for(embedded: Workflow) -> None:
    rule = load_rule(RULE_FILE)
    assert rule.fitted_for == read_card(default_weights("lungs")).sha256
    assert embedded.chest_rule is quality.default_rule()
    assert stub_workflow(FixedMap(lung_mask())).chest_rule is None
    assert stub_workflow(FixedMap(lung_mask()), chest_rule=rule).chest_rule is rule


@pytest.mark.parametrize("seed", range(4))
def test_what_tells_right_from_left_changes_its_sign_with_the_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gray = rng.uniform(0, 255, (64, 64)).astype(np.float32)
    lungs = np.zeros((64, 64), np.float32)
    top, left = rng.integers(4, 12, 2)
    lungs[top : top + 40, left : left + 46] = rng.uniform(0.6, 1, (40, 46))
    features = side_features(gray, lungs)
    np.testing.assert_allclose(side_features(gray[:, ::-1], lungs[:, ::-1]), -features, atol=1e-4)
    assert np.abs(features).max() > 0.1
    assert not side_features(gray, np.zeros_like(lungs)).any()


def test_a_mirrored_radiograph_is_scored_and_flagged(embedded: Workflow) -> None:
    picture = draw_phantom(512, ("left_lower",))
    right, mirrored = embedded.analyse(picture), embedded.analyse(np.ascontiguousarray(picture[:, ::-1]))
    assert quality.MIRRORED not in right.flags
    assert quality.MIRRORED in mirrored.flags
    assert mirrored.score == right.score


def test_a_rule_of_another_version_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "quality.json"
    content = json.loads(RULE_FILE.read_text())
    other.write_text(json.dumps({**content, "kinds": ["chest", "cat"]}))
    with pytest.raises(ValueError, match="expected a rule over"):
        load_rule(other)
    other.write_text(load_rule(RULE_FILE).to_json())
    assert json.loads(other.read_text()) == content


def test_inversion_negates_a_thumbnail() -> None:
    picture = draw_phantom(320)
    np.testing.assert_allclose(thumbnail(shrink(255 - picture)), -thumbnail(shrink(picture)), atol=0.02)
    assert quality.looks_inverted(255 - picture)
    assert not quality.looks_inverted(picture)


@pytest.mark.parametrize("gray", [0, 128, 255])
@pytest.mark.parametrize("map_level", [0.0, 1.0])
def test_features_of_a_flat_picture_are_numbers(gray: int, map_level: float) -> None:
    flat, lungs = np.full((64, 64), gray, np.float32), np.full((64, 64), map_level, np.float32)
    features = chest_features(flat, lungs)
    assert np.isfinite(features).all()
    assert quality.default_rule().flags(flat.astype(np.uint8), lungs)[0] in KINDS[1:]


@pytest.mark.parametrize(
    ("levels", "flags"),
    [
        ((90, 160), ()),
        ((10, 160), (quality.OVER_EXPOSED,)),
        ((90, 240), (quality.UNDER_EXPOSED,)),
        ((17, 229), ()),
    ],
)
def test_exposure_is_judged_inside_the_lungs(levels: tuple[int, int], flags: tuple[str, ...]) -> None:
    lungs = lung_mask(320) > 0
    picture = np.zeros((320, 320), np.uint8)
    picture[lungs] = np.resize(levels, np.count_nonzero(lungs))
    assert quality.mask_flags(picture, lungs) == flags


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize(("length", "cut"), [(20, False), (40, True)])
def test_lungs_cut_off_reach_along_an_edge(side: int, length: int, cut: bool) -> None:
    lungs = np.zeros((320, 320), bool)
    lungs[100 : 100 + length, :60] = True
    turned = np.ascontiguousarray(np.rot90(lungs, side))
    assert (quality.LUNGS_CUT_OFF in quality.mask_flags(np.full((320, 320), 100, np.uint8), turned)) == cut


def test_no_lungs_say_nothing_of_exposure() -> None:
    assert quality.mask_flags(np.zeros((320, 320), np.uint8), np.zeros((320, 320), bool)) == ()


@pytest.mark.parametrize(
    ("height", "width", "flags"),
    [(600, 1800, ()), (600, 1801, (quality.NOT_CHEST,)), (900, 300, ()), (901, 300, (quality.NOT_CHEST,))],
)
def test_what_is_far_longer_than_wide_is_no_chest(height: int, width: int, flags: tuple[str, ...]) -> None:
    assert quality.picture_flags(draw_phantom(256), height, width) == flags


def test_few_gray_levels_are_low_in_contrast_however_far_apart() -> None:
    picture = draw_phantom(256)
    assert quality.picture_flags(picture // 4, 256, 256) == (quality.LOW_CONTRAST,)
    labelled = np.where(np.arange(256) < 80, np.uint8(255), picture // 4)
    assert quality.picture_flags(labelled, 256, 256) == (quality.LOW_CONTRAST,)
    assert quality.picture_flags(picture // 2, 256, 256) == ()


def test_lung_flags_count_lungs() -> None:
    lung = cut_zones(phantom_lungs(64))
    assert quality.lung_flags(LungPair(None, None)) == (quality.LUNGS_NOT_FOUND,)
    assert quality.lung_flags(LungPair(lung, None)) == (quality.SINGLE_LUNG,)
    assert quality.lung_flags(LungPair(lung, lung, merged=True)) == (quality.LUNGS_MERGED,)
    assert quality.lung_flags(LungPair(lung, lung)) == ()


def test_why_there_is_no_score() -> None:
    flags = (quality.LOW_CONTRAST, quality.INVERTED_POLARITY, quality.NOT_FRONTAL)
    assert quality.refusal_reasons(flags) == (quality.INVERTED_POLARITY, quality.NOT_FRONTAL)


def test_the_report_counts_what_is_refused(embedded: Workflow) -> None:
    chest, page = draw_phantom(320), draw_other("text pages", 77_001)
    pictures = [("chest", "1", chest), ("chest", "2", 255 - chest), ("text pages", "3", page)]
    lines = report_table(observe(embedded, pictures)).splitlines()
    assert lines[2].startswith("| chest | 2 | 0.500 | inverted_polarity 0.500")
    assert lines[3].startswith("| text pages | 1 | 1.000 |")
    assert lines[4] == "| all that is no upright frontal chest | 1 | 1.0000 | |"


def test_a_folder_that_is_no_pack_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--data", str(tmp_path)]) == 2
    assert "expected a radiograph pack's table" in capsys.readouterr().err
