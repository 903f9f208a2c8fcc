import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch.decoders.manet.decoder import DecoderBlock
from segmentation_models_pytorch.encoders._efficientnet import Conv2dStaticSamePadding
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoints import load_checkpoint
from models.folding import fold_batch_norms
from models.networks import ARCHITECTURES, build_network
from models.savings import EnlargedConvolution, spare_arithmetic
from models.weights import default_weights


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def multiplications(network: nn.Module, side: int) -> int:
    """Of all convolutions, for one picture."""
    counts: list[int] = []

    def count(module: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
        counts.append(output[0].numel() * module.weight[0].numel())

    handles = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.inference_mode():
        network(noise(1, 3, side, side))
    for handle in handles:
        handle.remove()
    return sum(counts)


@given(
    count=st.integers(1, 3),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    bias=st.booleans(),
)
@settings(max_examples=60)
def test_a_convolution_of_an_enlarged_picture(
    count: int, inputs: int, outputs: int, height: int, width: int, bias: bool
) -> None:
    plain = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias).requires_grad_(False)
    images = noise(count, inputs, height, width)
    expected = plain(functional.interpolate(images, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(EnlargedConvolution(plain)(images), expected, atol=1e-5, rtol=1e-5)


class Alone(nn.Sequential):
    """One part, behind as many channels as it wants."""

    def __init__(self, part: nn.Module, channels: int = 4) -> None:
        super().__init__(nn.Conv2d(3, channels, 1), part)
        self.eval().requires_grad_(False)


def spared(part: nn.Module, side: int, channels: int = 4) -> nn.Module | None:
    """What stands in the place of ``part``, which answers the same; None where it stays."""
    network = Alone(part, channels)
    images = noise(2, 3, side, side)
    expected = network(images)
    was_spared = spare_arithmetic(network, side)
    torch.testing.assert_close(network(images), expected, atol=1e-5, rtol=1e-5)
    assert was_spared is (network[1] is not part)
    return network[1] if was_spared else None


@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 4),
    side=st.integers(7, 40),
    depthwise=st.booleans(),
    bias=st.booleans(),
)
@settings(max_examples=80)
def test_convolutions_that_pad_themselves(kernel: int, stride: int, side: int, depthwise: bool, bias: bool) -> None:
    groups = 4 if depthwise else 1
    for part in (
        Conv2dSame(4, 4, kernel, stride, groups=groups, bias=bias),
        Conv2dStaticSamePadding(4, 4, kernel, stride, image_size=side, groups=groups, bias=bias),
    ):
        other = spared(part, side)
        if depthwise:
            assert type(other) is nn.Conv2d
        elif other is not None:
            # More taps of many channels would cost more than the copy.
            assert other.kernel_size == part.kernel_size


@pytest.mark.parametrize(("dilation", "goes"), [(8, True), (12, True), (7, False)])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_taps_that_meet_nothing_but_padding(dilation: int, goes: bool, groups: int, bias: bool) -> None:
    part = nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation, groups=groups, bias=bias)
    other = spared(part, 8)
    assert (other is not None) is goes
    if other is not None:
        assert next(iter(other.parameters())).numel() == 16 // groups


@pytest.mark.parametrize(
    "part",
    [
        nn.Conv2d(4, 4, 3, padding="same", dilation=9),
        nn.Conv2d(4, 4, 3, padding=9, dilation=9, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding=9, dilation=9, stride=2),
        nn.Conv2d(4, 4, 3, padding=10, dilation=9),
        nn.Conv2d(4, 4, 5, padding=18, dilation=9),
        DecoderBlock(4, 0, 4, interpolation_mode="bilinear"),
    ],
)
def test_what_has_no_cheaper_equal_stays(part: nn.Module) -> None:
    assert spared(part, 10) is None


def test_a_block_with_another_picture_beside_it_stays() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = DecoderBlock(3, 3, 4)

        def forward(self, images: Tensor) -> Tensor:
            return self.block(images, functional.interpolate(images, scale_factor=2.0))

    network = Beside().eval()
    assert not spare_arithmetic(network, 16)
    assert type(network.block) is DecoderBlock


class WhoReadsWeights(nn.Module):
    """Uses the weights of a part itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2dSame(3, 3, 3, 2, groups=3)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) + functional.conv2d(images, self.conv.weight, stride=2, padding=1, groups=3)


def test_a_network_that_would_answer_otherwise_stays_as_it_was() -> None:
    network = WhoReadsWeights().eval().requires_grad_(False)
    images = noise(1, 3, 32, 32)
    expected = network(images)
    assert not spare_arithmetic(network, 32)
    assert type(network.conv) is Conv2dSame
    assert torch.equal(network(images), expected)


@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "efficientnet-b0"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_the_same_with_less(architecture: str, encoder: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, encoder, classification_head=True).eval().requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)
    images = noise(2, 3, 128, 128)
    with torch.inference_mode():
        expected = network(images)
        assert spare_arithmetic(network, 128)
        torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=0)


def embedded(role: str) -> tuple[nn.Module, int]:
    network, card = load_checkpoint(default_weights(role), role)
    assert fold_batch_norms(network, card.input_size)
    return network, card.input_size


def test_the_embedded_stage_two_multiplies_a_twentieth_less() -> None:
    network, side = embedded("disease")
    before = multiplications(network, side)
    assert spare_arithmetic(network, side)
    assert multiplications(network, side) < 0.95 * before


def test_the_embedded_stage_one_copies_less_and_leaves_dead_taps_out() -> None:
    network, side = embedded("lungs")
    assert spare_arithmetic(network, side)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert not [module for module in convolutions if isinstance(module, Conv2dSame) and module.groups > 1]
    assert {module.dilation for module in convolutions} == {(1, 1), (2, 2), (12, 12)}
