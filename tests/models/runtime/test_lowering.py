import numpy as np
import pytest
import torch
from torch import nn

from models.checkpoints import load_checkpoint
from models.networks import ARCHITECTURES, build_network
from models.runtime.lowering import Wide, lower_precision
from models.runtime.precision import Precision
from models.runtime.torch_engine import TorchEngine
from models.weights import default_weights

LOWERED: tuple[Precision, ...] = ("float16", "bfloat16")


class Attention(nn.Module):
    """Products that leave the range of float16."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(image.flatten(1) * 1e4 @ torch.ones(image[0].numel(), 2), 1)


def test_a_wide_part_computes_in_float32_inside_autocast() -> None:
    image = torch.ones(1, 3, 4, 4)
    with torch.autocast("cpu", torch.float16):
        assert not Attention()(image).isfinite().all()
        assert Wide(Attention())(image.half()).isfinite().all()


@pytest.mark.parametrize("precision", LOWERED)
def test_the_first_convolutions_keep_their_weights(precision: Precision) -> None:
    network, card = load_checkpoint(default_weights("disease"), "disease")
    lower_precision(network, precision, card.input_size)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    narrow = [module for module in convolutions if module.weight.dtype != torch.float32]
    assert convolutions[0].weight.dtype == torch.float32
    assert len(narrow) > len(convolutions) / 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_runs_lowered(architecture: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, "timm-regnetx_002").eval()
    images = [np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)]
    exact, _ = torch_engine(network, "float32").launch(images, alone=True).result()
    lowered, _ = torch_engine(network, "bfloat16").launch(images, alone=True).result()
    assert lowered.dtype == np.float32
    np.testing.assert_allclose(lowered, exact, atol=0.05)


def torch_engine(network: nn.Module, precision: Precision) -> TorchEngine:
    return TorchEngine(network, 128, (0.5,) * 3, (0.5,) * 3, "cpu", precision)


def test_float32_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid())
    lower_precision(network, "float32", 16)
    assert not any(isinstance(module, Wide) for module in network.modules())
