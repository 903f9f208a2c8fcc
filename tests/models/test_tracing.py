from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.cards import ModelCard
from models.checkpoints import read_card
from models.networks import ARCHITECTURES, build_network
from models.packing import pack_convolutions
from models.rewriting import answers
from models.stage import Stage
from models.tracing import TracedForward, TraceError
from models.weights import default_weights

SIDE = 64


def forward_of(network: nn.Module) -> TracedForward:
    return TracedForward(lambda images: answers(network, images))


def pictures(count: int, side: int = SIDE, seed: int = 9) -> Tensor:
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return images.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        *product(ARCHITECTURES, ("resnet18", "tu-tf_efficientnet_lite0", "efficientnet-b0")),
        ("Linknet", "timm-regnetx_032"),
    ],
)
def test_every_architecture_is_recorded_and_answers_the_same(architecture: str, encoder: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, encoder, classification_head=True).eval()
    network = network.to(memory_format=torch.channels_last)
    batches = [pictures(count, 128) for count in (1, 2, 3, 7)]
    expected = [answers(network, images) for images in batches]
    assert pack_convolutions(network, 128)
    traced = forward_of(network)
    traced.record(network, 128)
    torch.testing.assert_close([traced(images) for images in batches], expected, atol=1e-4, rtol=0)


class Counted(nn.Module):
    """Knows how often Python ran it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        self.runs = 0

    def forward(self, images: Tensor) -> Tensor:
        self.runs += 1
        return torch.sigmoid(self.conv(images))


def test_a_recorded_network_runs_without_python() -> None:
    network = Counted().eval()
    traced = forward_of(network)
    assert not traced.recorded
    traced(pictures(2))
    assert network.runs == 1
    traced.record(network, SIDE)
    assert traced.recorded
    runs = network.runs
    for count in (1, 2, 5):
        assert traced(pictures(count))[0].shape == (count, 1, SIDE, SIDE)
    assert network.runs == runs


def test_weights_that_change_in_place_change_the_answer() -> None:
    network = Counted().eval().requires_grad_(False)
    traced = forward_of(network)
    traced.record(network, SIDE)
    network.conv.weight.mul_(-1)
    torch.testing.assert_close(traced(pictures(3)), answers(network, pictures(3)))


class CountsPictures(Counted):
    """Has the number of pictures as a number of Python's."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * torch.ones(len(images), 1, 1, 1)


class Moody(Counted):
    """Answers by what it sees: of a picture that is dark on the left otherwise than of one that is bright there."""

    def forward(self, images: Tensor) -> Tensor:
        answer = super().forward(images)
        left, right = images[..., : SIDE // 2].mean(), images[..., SIDE // 2 :].mean()
        return answer if left > right else 1 - answer


class Unwilling(Counted):
    """Answers what cannot be recorded."""

    def forward(self, images: Tensor) -> object:
        return {"map": super().forward(images), "name": "unwilling"}


@pytest.mark.parametrize("network", [CountsPictures(), Moody(), Unwilling()])
def test_what_would_answer_otherwise_is_not_recorded(network: nn.Module) -> None:
    traced = forward_of(network.eval())
    with pytest.raises(TraceError):
        traced.record(network, SIDE)
    assert not traced.recorded


def card() -> ModelCard:
    return read_card(default_weights("disease")).model_copy(update={"sha256": None, "input_size": SIDE})


@pytest.mark.parametrize(
    ("known", "precision", "recorded"), [(True, "float32", True), (False, "float32", False), (True, "bfloat16", False)]
)
def test_only_networks_with_a_card_are_recorded(known: bool, precision: str, recorded: bool) -> None:
    network = Counted()
    stage = Stage(network, SIDE, precision=precision, card=card() if known else None)
    stage.warm_up(4)
    runs = network.runs
    stage.run([np.zeros((SIDE, SIDE), np.uint8)])
    assert (network.runs == runs) is recorded


def test_a_stage_that_cannot_be_recorded_still_answers(caplog: pytest.LogCaptureFixture) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    stage = Stage(Moody(), SIDE, card=card())
    before, _ = stage.run([picture] * 3)
    stage.warm_up(4)
    assert "not recorded" in caplog.text
    after, _ = stage.run([picture] * 3)
    np.testing.assert_allclose(after, before, atol=1e-5)
