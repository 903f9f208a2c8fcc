import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoints import load_checkpoint
from models.networks import ARCHITECTURES, build_network
from models.packing import PackedConvolution, pack_convolutions
from models.stage import Stage
from models.weights import default_weights


def packed(network: nn.Module) -> int:
    return sum(isinstance(module, PackedConvolution) for module in network.modules())


def plain(network: nn.Module) -> int:
    return sum(type(module) is nn.Conv2d for module in network.modules())


@pytest.mark.parametrize("encoder", ["resnet18", "tu-tf_efficientnet_lite0", "efficientnet-b0"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_the_same_at_any_batch_and_size(architecture: str, encoder: str) -> None:
    torch.manual_seed(0)
    network = (
        build_network(architecture, encoder, classification_head=True).eval().to(memory_format=torch.channels_last)
    )
    generator = torch.Generator().manual_seed(2)
    batches = [
        torch.rand(shape, generator=generator) for shape in ((1, 3, 128, 128), (3, 3, 128, 128), (2, 3, 192, 128))
    ]
    with torch.inference_mode():
        expected = [network(images) for images in batches]
        assert pack_convolutions(network, 128)
        found = [network(images) for images in batches]
    assert packed(network) > 0
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("role", ["lungs", "disease"])
def test_warming_up_packs_every_convolution_of_the_embedded_networks(role: str) -> None:
    network, card = load_checkpoint(default_weights(role), role)
    stage = Stage(network, card.input_size)
    assert stage.warm_up(4) == 4
    # Each keeps the one it stands for.
    assert plain(stage.network) == packed(stage.network) > 50


def test_lowered_networks_are_left_alone() -> None:
    stage = Stage(nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid()), input_size=32, precision="bfloat16")
    stage.warm_up(4)
    assert packed(stage.network) == 0


class WithItsOwnHands(nn.Module):
    """Uses one convolution twice, once without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(functional.conv2d(images, self.conv.weight))


class WhoLooks(nn.Module):
    """Answers otherwise once its convolution is another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) + float(not isinstance(self.conv, nn.Conv2d))


@pytest.mark.parametrize("network", [WithItsOwnHands(), WhoLooks()])
def test_a_network_that_does_not_bear_it_stays_as_it_was(network: nn.Module) -> None:
    images = torch.rand(1, 3, 32, 32)
    expected = network(images)
    assert not pack_convolutions(network, 32)
    assert packed(network) == 0
    torch.testing.assert_close(network(images), expected)


def test_named_padding_and_other_convolutions_stay() -> None:
    class Doubling(nn.Conv2d):
        def forward(self, images: Tensor) -> Tensor:
            return 2 * super().forward(images)

    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same"),
        Doubling(4, 4, 1),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 1, 1),
    )
    assert pack_convolutions(network, 32)
    assert [type(module) for module in network][-1] is PackedConvolution
    assert packed(network) == 1
