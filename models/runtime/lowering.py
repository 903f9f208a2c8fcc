"""Half precision in PyTorch, for the parts of a network whose answers it does not change."""

from itertools import takewhile
from typing import Final

import torch
from torch import Tensor, nn

from models.precision import Precision

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Wide(nn.Module):
    """A part that computes in float32, whatever surrounds it."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part.float()

    def forward(self, *inputs: Tensor) -> Tensor:
        with torch.autocast(inputs[0].device.type, enabled=False):
            answer: Tensor = self.part(*(value.float() for value in inputs))
            return answer


class Narrow(nn.Module):
    """A part inside a ``Wide`` one that computes in fewer bits and answers in float32."""

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part, self.dtype = part.to(dtype), dtype

    def forward(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, self.dtype, cache_enabled=False):
            answer: Tensor = self.part(image)
        return answer.float()


def lower_precision(network: nn.Module, precision: Precision, input_size: int) -> None:
    """Prepares a network, in place, for autocast: convolutions and linear layers store weights of lower precision.

    Two kinds of part stay in float32. One is the first convolutions, at half the picture's side and above: they add up
    plain gray values, so that rounded weights shift whole regions (measured: zone shares move by up to 0.04 if they
    are lowered, else by 0.004). The other is the products in MA-Net's attention: unscaled features exceed float16.

    Args:
        network: in eval mode, float32; takes float32 [1, 3, input_size, input_size].
    """
    if precision == "float32":
        return
    dtype = DTYPES[precision]
    for name in _first_convolutions(network, input_size):
        _put(network, name, Wide(network.get_submodule(name)))
    wide = {id(part) for module in network.modules() if isinstance(module, Wide) for part in module.modules()}
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and id(module) not in wide:
            module.to(dtype)
    lower_attention(network, dtype)


def lower_attention(network: nn.Module, dtype: torch.dtype) -> None:
    """Lowers, in place, the convolutions in MA-Net's attention, and keeps the products between them in float32."""
    # Imported here, because the package takes two seconds to import and float32 does without it.
    from segmentation_models_pytorch.decoders.manet.decoder import PABBlock

    for name in [name for name, module in network.named_modules() if isinstance(module, PABBlock)]:
        attention = Wide(network.get_submodule(name))
        for part in [part for part, module in attention.named_modules() if isinstance(module, nn.Conv2d)]:
            _put(attention, part, Narrow(attention.get_submodule(part), dtype))
        _put(network, name, attention)


def _put(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, part)


def _first_convolutions(network: nn.Module, input_size: int) -> list[str]:
    """Names of the convolutions that run before the picture's side is less than half, in order."""
    ran: list[tuple[str, int]] = []
    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: ran.append((name, output.shape[-1])))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.inference_mode():
        network(torch.zeros(1, 3, input_size, input_size, device=_device_of(network)))
    for handle in handles:
        handle.remove()
    return list(dict.fromkeys(name for name, _ in takewhile(lambda item: 2 * item[1] >= input_size, ran)))


def _device_of(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
