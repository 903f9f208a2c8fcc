"""Every golden case of the published post-processing, in all three crop modes."""

import json
from typing import Any

import cv2
import numpy as np
import pytest

from models.anatomy.lungs import Box, MaskView, TwoLungRule, clean_lungs, min_component_area, separate_lungs
from models.workflow import Crop, Workflow
from tests.support import ROOT
from tests.support.stubs import FixedMap, stub_workflow

GOLDEN = ROOT / "tests" / "golden" / "workflow"
CASES = json.loads((GOLDEN / "cases.json").read_text())
CROPS: tuple[Crop, ...] = ("single_crop", "crop", "no_crop")


def golden_workflow(case: dict[str, Any], crop: Crop, rule: TwoLungRule) -> Workflow:
    mask = cv2.imread(str(GOLDEN / case["lungs"]), cv2.IMREAD_GRAYSCALE)
    return stub_workflow(FixedMap(mask > 127), case["aux_label"], crop=crop, two_lung_rule=rule)


def golden_pixels(case: dict[str, Any]) -> np.ndarray:
    return cv2.imread(str(GOLDEN / case["image"]), cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']}-{case['kind']}")
def test_reference_rule_equals_published_code(case: dict[str, Any], crop: Crop) -> None:
    workflow = golden_workflow(case, crop, "reference")
    prepared = workflow.prepare(golden_pixels(case))
    assert int(prepared.picture.sum()) == case["resized_sum"]
    maps, labels = workflow.lungs.run([prepared.picture])
    cropped = workflow.crop_lungs(prepared, maps[0])
    assert np.count_nonzero(cropped.lungs) == pytest.approx(case[crop]["lung_area_512"], rel=0.005)
    disease_maps, labels = workflow.disease.run([workflow.disease.prepare(cropped.image)])
    label = None if labels is None else float(labels[0])
    analysis = workflow.conclude(cropped, disease_maps[0], label)
    assert analysis.score == case[crop]["score"]
    np.testing.assert_allclose(analysis.shares, case[crop]["ratios"], atol=2e-3)
    counted = disease_maps[0] * (1 if label is None else round(label))
    on_grid = cv2.resize(counted, (512, 512))
    assert np.count_nonzero(on_grid > 0.5) == pytest.approx(case[crop]["disease_area_512"], rel=0.005, abs=2)
    assert on_grid.mean() == pytest.approx(case[crop]["disease_prob_mean"], abs=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']}-{case['kind']}")
def test_cleaning_equals_published_code(case: dict[str, Any]) -> None:
    mask = cv2.imread(str(GOLDEN / case["lungs"]), cv2.IMREAD_GRAYSCALE) > 127
    cleaned = clean_lungs(mask, min_component_area(384))
    assert np.count_nonzero(cleaned) == case["filtered_area"]
    _, _, stats, _ = cv2.connectedComponentsWithStats(cleaned.astype(np.uint8))
    boxes = [[x, y, x + width, y + height] for x, y, width, height, _ in stats[1:].tolist()]
    assert boxes == case["components_bbox"]
    on_grid = cv2.resize(cleaned.astype(np.uint8), (512, 512)).astype(bool)
    pair = separate_lungs(on_grid, "reference", MaskView(Box(0, 0, 384, 384), 384))
    areas = [np.count_nonzero(lung.mask[rows]) for lung in (pair.left, pair.right) for rows in lung.zones]
    assert areas == pytest.approx(case["segment_areas"], rel=0.005)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']}-{case['kind']}")
def test_robust_rule_is_the_reference_for_two_components_and_else_never_invents(case: dict[str, Any]) -> None:
    analysis = golden_workflow(case, "single_crop", "robust").analyse(golden_pixels(case))
    expected = {0: "lungs_not_found", 1: "lungs_merged" if case["kind"] == "touch" else "single_lung"}
    flag = expected.get(len(case["components_bbox"]))
    if flag is None:
        assert analysis.score == case["single_crop"]["score"]
        np.testing.assert_allclose(analysis.shares, case["single_crop"]["ratios"], atol=2e-3)
    else:
        assert flag in analysis.flags
        assert (analysis.score is None) == (flag != "lungs_merged")
