"""Convolution weights in the order that oneDNN computes in.

torch keeps a convolution's weights in its own order and has oneDNN reorder them in each run, which for a lone
radiograph costs up to a tenth of the network's time. Reordered once they stay so, at the price of a second copy. Larger
batches keep torch's own: which order is best depends on the batch. The operators are those that torch's own passes put
into a recorded network (``torch/csrc/jit/passes/mkldnn_rewrite.cpp``), so that it can be recorded (``models.tracing``).
"""

from typing import TypeGuard, cast

import torch
from torch import Tensor, nn

from models.rewriting import Shapes, example_of, exchange


class PackedConvolution(nn.Module):
    """An ``nn.Conv2d`` for float32 [N, C, H, W] on the CPU, faster where N is 1; H and W may be any."""

    def __init__(self, convolution: nn.Conv2d, shape: torch.Size) -> None:
        """Args:
        convolution: not padded by name, with zeros.
        shape: of an input to choose the order for.
        """
        super().__init__()
        self.plain = convolution
        bias = convolution.bias
        self._packed = torch.ops.mkldnn_prepacked.conv2d_prepack(
            convolution.weight.detach(),
            None if bias is None else bias.detach(),
            list(convolution.stride),
            list(cast("tuple[int, ...]", convolution.padding)),
            list(convolution.dilation),
            convolution.groups,
            list(shape),
            "none",
        )

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > 1:
            whole: Tensor = self.plain(images)
            return whole
        answer: Tensor = torch.ops.mkldnn_prepacked.conv2d_run(images, self._packed)
        return answer


def pack_convolutions(network: nn.Module, input_size: int) -> bool:
    """Packs, in place, every convolution of a network that stays on the CPU; it can be neither copied nor fitted then.

    Args:
        network: in eval mode, float32, channels last; takes [N, 3, input_size, input_size].

    Returns:
        Whether it was done. Where torch comes without oneDNN, or the network answers otherwise with packed weights,
        it is left as it was.
    """
    if not hasattr(torch.ops.mkldnn_prepacked, "conv2d_prepack"):
        return False
    return exchange(network, example_of(1, input_size), _packed)


def _packed(module: nn.Module, shapes: Shapes) -> PackedConvolution | None:
    shape = shapes[0] if shapes else None
    return PackedConvolution(module, shape) if shape is not None and _can_be_packed(module) else None


def _can_be_packed(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    # A subclass may compute something else with the same weights.
    return (
        type(module) is nn.Conv2d
        and module.weight.dtype == torch.float32
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )
