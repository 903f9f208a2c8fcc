"""The real service with other settings than the default: what they change in its answers."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models.phantom import draw_phantom
from models.runtime.openvino import supported_precisions
from models.weights.cards import ModelCard
from models.weights.checkpoints import save_checkpoint
from models.weights.networks import build_network
from tests.support.pictures import encoded
from tests.support.problems import assert_problem
from tests.support.server import Server, running

DISEASED = ("right_lower",)


def score(server: Server, data: bytes, query: str = "") -> dict[str, object]:
    answer = server.client.post(f"/score?overlay=false{query}", content=data)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which these services keep converted networks, so that each is converted once."""
    return tmp_path_factory.mktemp("converted")


@pytest.mark.parametrize("precision", sorted(supported_precisions() - {"int8"}))
def test_each_precision_starts_and_finds_the_phantoms_disease(tmp_path: Path, cache: Path, precision: str) -> None:
    with running(tmp_path, CXR_PRECISION=precision, CXR_CACHE_DIR=str(cache)) as server:
        found = score(server, encoded(draw_phantom(512, DISEASED)))
    models = found["models"]
    assert isinstance(models, dict)
    assert {models[stage]["precision"] for stage in ("lungs", "disease")} == {precision}
    zones = found["zones"]
    assert isinstance(zones, list)
    assert {zone["zone"] for zone in zones if zone["affected"]} == set(DISEASED)


def test_threshold_and_pixel_limit(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path, CXR_THRESHOLD="0.9", CXR_MAX_PIXELS="300000") as server:
        found = score(server, encoded(draw_phantom(512, DISEASED)))
        assert (found["threshold"], found["score"]) == (0.9, 0)
        assert score(server, phantom_png, "&threshold=0.1")["threshold"] == 0.1
        assert_problem(server.client.post("/score", content=encoded(draw_phantom(700))), 422, "image_too_large")


def test_an_inverted_radiograph_is_scored_only_where_that_is_asked_for(server: Server) -> None:
    right = draw_phantom(512, DISEASED)
    wrong = encoded(255 - right)
    assert score(server, wrong)["score"] is None
    corrected, plain = score(server, wrong, "&polarity=auto"), score(server, encoded(right))
    assert corrected["score"] == plain["score"] is not None
    quality = corrected["quality"]
    assert isinstance(quality, dict)
    assert "inverted_polarity" in quality["flags"]


def mask_of(server: Server, data: bytes) -> NDArray[np.uint8]:
    report = server.client.post("/segment?overlay=false", content=data).json()
    mask = cv2.imdecode(
        np.frombuffer(base64.b64decode(report["masks"]["lungs"]["data"]), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert mask is not None
    return np.asarray(mask, np.uint8)


def test_masks_lie_as_the_picture_is_shown(server: Server) -> None:
    """EXIF says how a camera was held; masks fit the picture as every viewer shows it."""
    picture = cv2.resize(draw_phantom(640), (640, 560), interpolation=cv2.INTER_AREA)
    upright = encoded(picture, ".jpg")
    # Stored turned by 90 degrees, with the orientation that turns it back: "6" is a quarter clockwise.
    turned = encoded(np.ascontiguousarray(np.rot90(picture)), ".jpg")
    orientation = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    found, expected = mask_of(server, turned[:2] + orientation + turned[2:]), mask_of(server, upright)
    assert found.shape == expected.shape == (560, 640)
    assert np.mean(found == expected) > 0.995


def test_the_same_answer_alone_and_in_company(server: Server) -> None:
    """On a CPU a radiograph has a run of its own, whatever else is under way."""
    uploads = [encoded(draw_phantom(size, DISEASED)) for size in (400, 512, 640, 700)]
    alone = [score(server, upload)["zones"] for upload in uploads]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda upload: score(server, upload)["zones"], 4 * uploads))
    assert together == 4 * alone


def test_own_weights_with_a_classification_head(tmp_path: Path, cache: Path) -> None:
    """The map counts only where the head's rounded label says disease."""
    healthy = 0.25
    network = build_network("FPN", "resnet18", classification_head=True)
    with torch.no_grad():
        # Disease everywhere, whatever is shown.
        convolution = network.segmentation_head[0]
        convolution.weight.zero_()
        convolution.bias.fill_(5.0)
        linear = next(layer for layer in network.classification_head.modules() if isinstance(layer, nn.Linear))
        linear.weight.zero_()
        linear.bias.fill_(float(torch.logit(torch.tensor(healthy))))
    card = ModelCard(
        name="of a test",
        role="disease",
        architecture="FPN",
        encoder="resnet18",
        input_size=64,
        classification_head=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        threshold=0.5,
    )
    path = tmp_path / "disease.safetensors"
    save_checkpoint(path, network.eval(), card)
    with running(tmp_path, CXR_DISEASE_WEIGHTS=str(path), CXR_PRECISION="float32", CXR_CACHE_DIR=str(cache)) as server:
        found = score(server, encoded(draw_phantom(512)))
    assert found["disease_probability"] == pytest.approx(healthy, abs=1e-3)
    assert found["score"] == 0
