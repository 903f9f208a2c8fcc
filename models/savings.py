"""Arithmetic that a network can do without: the answer stays the same but for rounding.

What is written plainly in segmentation_models_pytorch and timm is computed as it is written: pictures are enlarged
before a convolution reads each of their pixels four times, they are copied into wider ones for the sake of their
padding, and taps are computed that can meet nothing but padding. Each of these has a cheaper equal.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
from segmentation_models_pytorch.decoders.manet.decoder import DecoderBlock
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same_arg
from torch import Tensor, nn
from torch.nn import functional

from models.rewriting import Shapes, example_of, exchange

_TAPS = torch.tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]], dtype=torch.float64)
"""[phase, 2, 3]: which of three taps on the enlarged picture meet each of two neighbours on the small one; the later
pixel of the first neighbour comes first, then the earlier one of the second."""


def spare_arithmetic(network: nn.Module, input_size: int) -> bool:
    """Exchanges, in place, what has a cheaper equal at this input size; at another the network answers otherwise.

    Args:
        network: in eval mode, float32, channels last, on the CPU; takes [N, 3, input_size, input_size].

    Returns:
        Whether anything was exchanged. Where the network would answer otherwise it is left as it was.
    """
    return exchange(network, example_of(1, input_size), _cheaper)


class EnlargedConvolution(nn.Module):
    """A 3 x 3 convolution, padded by one, of the picture enlarged twice by nearest neighbours, without enlarging it.

    Each pixel of the small picture stands there four times, so of nine taps those that meet the same one are added up
    beforehand: 2 x 2 taps for each of four phases, 4/9 of the multiplications. The phases are interleaved as in
    sub-pixel convolution (Shi et al., CVPR 2016).
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Args:
        convolution: what follows the enlargement.
        """
        super().__init__()
        weight = convolution.weight.detach()
        outputs, inputs = weight.shape[:2]
        self.phases = nn.Conv2d(inputs, 4 * outputs, 2, padding=1, bias=convolution.bias is not None)
        taps = torch.einsum("ayr,bxq,oirq->oabiyx", _TAPS, _TAPS, weight.double())
        _fill(self.phases, taps.reshape(self.phases.weight.shape), convolution.bias, times=4)

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, h, w] to [N, outputs, 2 h, 2 w]."""
        # The outermost phases belong to pixels beyond the edge.
        return functional.pixel_shuffle(self.phases(images), 2)[..., 1:-1, 1:-1]


class _EnlargingBlock(nn.Module):
    """MA-Net's last block, which has no other picture to put beside the enlarged one."""

    def __init__(self, block: DecoderBlock) -> None:
        super().__init__()
        first, *rest = block.conv1
        self.conv1 = nn.Sequential(EnlargedConvolution(first), *rest)
        self.conv2 = block.conv2

    def forward(self, images: Tensor, skip: None = None) -> Tensor:
        answer: Tensor = self.conv2(self.conv1(images))
        return answer


class _Scale(nn.Module):
    """A depthwise convolution of one tap."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(_middle(convolution).reshape(1, -1, 1, 1)), convolution.bias

    def forward(self, images: Tensor) -> Tensor:
        scaled = images * self.weight
        return scaled if self.bias is None else scaled + self.bias[:, None, None]


def _cheaper(module: nn.Module, shapes: Shapes) -> nn.Module | None:
    if _enlarges_alone(module, shapes):
        return _EnlargingBlock(module)
    shape = shapes[0] if shapes else None
    if shape is None or not isinstance(module, nn.Conv2d) or module.padding_mode != "zeros":
        return None
    return _of_one_tap(module, shape) if type(module) is nn.Conv2d else _padding_itself(module, shape)


def _enlarges_alone(module: nn.Module, shapes: Shapes) -> TypeGuard[DecoderBlock]:
    return (
        type(module) is DecoderBlock
        and shapes[1:] in ((), (None,))
        and module.interpolation_mode == "nearest"
        and isinstance(module.conv1, nn.Sequential)
        and type(module.conv1[0]) is nn.Conv2d
    )


def _of_one_tap(convolution: nn.Conv2d, shape: torch.Size) -> nn.Module | None:
    """In place of a dilated convolution whose other taps lie in the padding wherever it stands."""
    if convolution.kernel_size != (3, 3) or convolution.stride != (1, 1) or convolution.padding != convolution.dilation:
        return None
    if any(dilation < side for dilation, side in zip(convolution.dilation, shape[-2:], strict=True)):
        return None
    if convolution.groups == convolution.in_channels == convolution.out_channels:
        return _Scale(convolution)
    return _like(convolution, _middle(convolution)[..., None, None], (0, 0), (1, 1))


def _padding_itself(convolution: nn.Conv2d, shape: torch.Size) -> nn.Conv2d | None:
    """In place of one that first copies the picture into a wider one.

    torch's own pads both sides alike. Where one more is wanted on the far side, both get it, and the kernel a row of
    nothing on the near side; that pays where the kernel is of one channel.
    """
    sides = _padded(convolution, shape)
    if sides is None or any(far - near not in (0, 1) for near, far in sides):
        return None
    more = [far - near for near, far in sides]
    if any(more) and (convolution.groups != convolution.in_channels or convolution.dilation != (1, 1)):
        return None
    weight = functional.pad(convolution.weight.detach(), (more[1], 0, more[0], 0))
    return _like(convolution, weight, (sides[0][1], sides[1][1]), convolution.dilation)


def _padded(convolution: nn.Conv2d, shape: torch.Size) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows before and after, columns before and after, for the two kinds that pad themselves; None for others."""
    around: Sequence[int]
    if type(convolution) is Conv2dSame:
        around = pad_same_arg(
            list(shape[-2:]), list(convolution.kernel_size), list(convolution.stride), list(convolution.dilation)
        )
    elif isinstance(static := getattr(convolution, "static_padding", None), nn.ZeroPad2d | nn.Identity):
        around = static.padding if isinstance(static, nn.ZeroPad2d) else (0, 0, 0, 0)
        if convolution.padding != (0, 0):
            return None
    else:
        return None
    left, right, top, bottom = around
    return (top, bottom), (left, right)


def _middle(convolution: nn.Conv2d) -> Tensor:
    return convolution.weight.detach()[..., 1, 1]


def _like(convolution: nn.Conv2d, weight: Tensor, padding: tuple[int, int], dilation: Sequence[int]) -> nn.Conv2d:
    """A plain convolution with other weights [outputs, inputs a group, h, w]."""
    other = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (weight.shape[2], weight.shape[3]),
        (convolution.stride[0], convolution.stride[1]),
        padding,
        (dilation[0], dilation[1]),
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    _fill(other, weight, convolution.bias)
    return other


def _fill(convolution: nn.Conv2d, weight: Tensor, bias: Tensor | None, times: int = 1) -> None:
    """Puts in weights, and a bias with each value so many times in a row."""
    with torch.no_grad():
        convolution.weight.copy_(weight)
        if convolution.bias is not None and bias is not None:
            convolution.bias.copy_(bias.repeat_interleave(times))
    convolution.to(memory_format=torch.channels_last)
