"""What is particular to the CPU engine: streams, their number, and the memory that they take."""

import subprocess
import sys

import numpy as np
import pytest

from models.runtime import openvino
from models.runtime.conversion import convert
from models.runtime.openvino import OpenVinoEngine, normalised
from tests.support.stubs import BrightIsDisease

SIDE = 32
HALVES = (0.5,) * 3


@pytest.fixture
def two_streams(monkeypatch: pytest.MonkeyPatch) -> OpenVinoEngine:
    monkeypatch.setattr(openvino, "available_cpus", lambda: 2)
    return OpenVinoEngine(convert(BrightIsDisease(0.7).eval(), SIDE), HALVES, HALVES, "float32")


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_pictures_is_answered_in_order(two_streams: OpenVinoEngine, count: int) -> None:
    batch = pictures(count)
    maps, labels = two_streams.launch(batch, alone=False).result()
    for picture, found in zip(batch, maps, strict=True):
        alone, _ = two_streams.launch([picture], alone=True).result()
        np.testing.assert_allclose(found, alone[0], atol=1e-5)
    assert labels == pytest.approx([0.7] * count)


def test_launches_may_be_under_way_together(two_streams: OpenVinoEngine) -> None:
    batches = [[picture] for picture in pictures(5)]
    expected = [two_streams.launch(batch, alone=True).result()[0] for batch in batches]
    launched = [two_streams.launch(batch, alone=False) for batch in batches]
    for answer, wanted in zip(reversed(launched), reversed(expected), strict=True):
        np.testing.assert_allclose(answer.result()[0], wanted, atol=1e-5)


def test_many_pictures_take_no_more_requests_than_streams(two_streams: OpenVinoEngine) -> None:
    two_streams.warm_up(16)
    for _ in range(2):
        two_streams.launch(pictures(20), alone=False).result()
    assert len(two_streams._narrow._idle) == 2


@pytest.mark.parametrize("gray", [True, False])
@pytest.mark.parametrize("eight_bit", [True, False])
def test_pictures_are_normalised_by_channel(gray: bool, eight_bit: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7) if gray else (5, 7, 3), dtype=np.uint8)
    scaled = (picture / 255).astype(np.float32)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    found = normalised(picture if eight_bit else scaled, mean, std)
    wanted = (np.broadcast_to(scaled[..., None] if gray else scaled, (5, 7, 3)) - mean) / std
    np.testing.assert_allclose(found, wanted.transpose(2, 0, 1)[None], atol=1e-5)


def test_the_affinity_mask_gives_the_streams() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from torch import nn; from models.runtime.stage import Stage; "
        "print(Stage(nn.Conv2d(3, 1, 3, padding=1), input_size=32).streams)"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "1"


def test_what_an_engine_cannot_compute_fails_that_batch_alone(two_streams: OpenVinoEngine) -> None:
    with pytest.raises(RuntimeError):
        two_streams.launch([np.zeros((SIDE, SIDE + 1), np.uint8)], alone=False).result()
    maps, _ = two_streams.launch(pictures(1), alone=False).result()
    assert maps.shape == (1, SIDE, SIDE)
