"""Every golden case of the published post-processing, in all three crop modes."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.stage import Stage
from models.workflow import Crop, Workflow

GOLDEN = Path(__file__).parents[1] / "golden" / "workflow"
CASES = json.loads((GOLDEN / "cases.json").read_text())
CROPS: tuple[Crop, ...] = ("single_crop", "crop", "no_crop")


class LungStub(nn.Module):
    """Stage I's answer is the golden mask, whatever it sees."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.map = torch.from_numpy(0.98 * (mask > 127) + 0.01).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.map.expand(len(images), 1, *self.map.shape)


class DiseaseStub(nn.Module):
    def __init__(self, label: float | None) -> None:
        super().__init__()
        self.label = label

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        maps = torch.sigmoid(6 * images.mean(1, keepdim=True))
        return maps if self.label is None else (maps, torch.full((len(images), 1), self.label))


def golden_workflow(case: dict[str, Any], crop: Crop, rule: str) -> Workflow:
    mask = cv2.imread(str(GOLDEN / case["lungs"]), cv2.IMREAD_GRAYSCALE)
    return Workflow(
        lungs=Stage(LungStub(mask), input_size=384),
        disease=Stage(DiseaseStub(case["aux_label"]), input_size=480),
        threshold=0.3,
        crop=crop,
        two_lung_rule=rule,
    )


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
