import cv2
import numpy as np
import pytest

from models.analysis import Analysis
from models.phantom import draw_phantom
from tests.support.pictures import lung_mask, radiograph
from tests.support.stubs import DarkIsLung, FixedMap, stub_workflow


def test_masks_lie_in_the_radiographs_own_pixels() -> None:
    picture = radiograph()
    analysis = stub_workflow(FixedMap(lung_mask())).analyse(picture)
    drawn = cv2.resize(lung_mask(), picture.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0
    assert analysis.lungs.shape == analysis.disease.shape == analysis.zones.shape == picture.shape
    assert analysis.lungs.dtype == analysis.disease.dtype == bool
    overlap = np.count_nonzero(analysis.lungs & drawn)
    assert 2 * overlap / (np.count_nonzero(analysis.lungs) + np.count_nonzero(drawn)) > 0.99
    np.testing.assert_array_equal(analysis.zones > 0, analysis.lungs)
    assert not (analysis.disease & ~analysis.lungs).any()
    # The same shares come out of the masks: nothing was moved on the way back.
    for label, share in enumerate(analysis.shares, start=1):
        zone = analysis.zones == label
        assert np.count_nonzero(analysis.disease & zone) / np.count_nonzero(zone) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("size", [(90, 200), (384, 384), (1023, 401), (2000, 1900)])
def test_any_size_and_shape(size: tuple[int, int]) -> None:
    analysis = stub_workflow(FixedMap(lung_mask())).analyse(radiograph(*size))
    assert analysis.lungs.shape == size
    areas = [np.count_nonzero(analysis.zones == label) for label in range(1, 7)]
    assert min(areas) > 0.9 * max(areas)


def test_gray_and_three_equal_channels_are_the_same_radiograph() -> None:
    workflow, picture = stub_workflow(DarkIsLung()), radiograph()
    assert_equal(workflow.analyse(picture), workflow.analyse(np.dstack([picture] * 3)))


@pytest.mark.parametrize("company", [2, 3, 7, 16])
def test_company_in_a_batch_does_not_matter(company: int) -> None:
    workflow = stub_workflow(DarkIsLung())
    pictures = [radiograph(500 + 37 * index, 640 - 11 * index, seed=index) for index in range(company)]
    for picture, analysis in zip(pictures, workflow.analyse_batch(pictures), strict=True):
        assert_equal(workflow.analyse(picture), analysis)


def test_a_label_under_one_half_clears_the_map() -> None:
    picture = radiograph()
    assert stub_workflow(FixedMap(lung_mask()), label=0.51).analyse(picture).disease.any()
    cleared = stub_workflow(FixedMap(lung_mask()), label=0.49).analyse(picture)
    assert not cleared.disease.any()
    assert cleared.score == 0
    assert cleared.disease_probability == pytest.approx(0.49)


def test_no_lungs_is_not_zero() -> None:
    analysis = stub_workflow(FixedMap(np.zeros((384, 384)))).analyse(radiograph())
    assert analysis.score is None
    assert analysis.margin is None
    assert analysis.diseased_share is None
    assert "lungs_not_found" in analysis.flags
    assert not analysis.lungs.any()


def test_threshold_of_the_request_outranks_the_workflows() -> None:
    workflow, picture = stub_workflow(FixedMap(lung_mask())), radiograph()
    assert workflow.analyse(picture, threshold=0.0).score == 6
    assert workflow.analyse(picture, threshold=1.0).score == 0
    assert workflow.analyse(picture).threshold == 0.3


def test_without_a_card_the_threshold_is_the_published_one() -> None:
    assert stub_workflow(FixedMap(lung_mask()), threshold=None).threshold == 0.31


def test_flags_of_the_picture() -> None:
    workflow = stub_workflow(FixedMap(lung_mask()))
    assert "low_resolution" in workflow.analyse(radiograph(200, 300)).flags
    flat = (radiograph() // 8 + 100).astype(np.uint8)
    assert "low_contrast" in workflow.analyse(flat).flags
    # A radiograph has many gray levels; three are not enough.
    assert "low_contrast" in workflow.analyse(radiograph()).flags
    assert not {"low_contrast", "low_resolution"} & set(workflow.analyse(draw_phantom(700)).flags)


def test_borderline_is_flagged_by_the_margin() -> None:
    workflow, picture = stub_workflow(FixedMap(lung_mask())), radiograph()
    share = max(workflow.analyse(picture).shares)
    near = workflow.analyse(picture, threshold=share - 0.001)
    assert "borderline" in near.flags
    assert near.margin == pytest.approx(0.001, abs=1e-6)
    assert "borderline" not in workflow.analyse(picture, threshold=min(share + 0.3, 1.0)).flags


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_radiograph_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        stub_workflow(DarkIsLung()).analyse(bad)


@pytest.mark.parametrize(
    "wrong", [{"threshold": -0.1}, {"threshold": 1.5}, {"crop": "both"}, {"two_lung_rule": "best"}]
)
def test_a_workflow_without_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected a"):
        stub_workflow(DarkIsLung(), **wrong)


def assert_equal(one: Analysis, other: Analysis) -> None:
    assert one.score == other.score
    np.testing.assert_allclose(one.shares, other.shares, atol=1e-3)
    np.testing.assert_array_equal(one.lungs, other.lungs)
