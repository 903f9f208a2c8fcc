"""Batch normalisation folded into the convolutions before it: the same arithmetic in fewer passes over memory."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module, input_size: int) -> int:
    """Folds, in place, every batch normalisation whose input is a convolution's output and nothing else's.

    Pairs are found by running the network once, so it does not matter how it is written.

    Args:
        network: in eval mode, on the CPU, float32; takes [1, 3, input_size, input_size].

    Returns:
        How many were folded.
    """
    pairs = _find_pairs(network, input_size)
    for convolution, norm in pairs:
        fused = fuse_conv_bn_eval(_module(network, convolution), _module(network, norm))
        _replace(network, convolution, fused)
        _replace(network, norm, _what_is_left(_module(network, norm)))
    return len(pairs)


def _find_pairs(network: nn.Module, input_size: int) -> list[tuple[str, str]]:
    """Names of each convolution and the batch normalisation that alone reads its output."""
    made: dict[int, tuple[str, Tensor]] = {}
    readers: dict[str, list[str]] = {}

    def remember(name: str, output: Tensor) -> None:
        made[id(output)] = name, output  # the tensor is kept, so that its id stays its own

    def look(name: str, inputs: tuple[object, ...]) -> None:
        for value in inputs:
            if id(value) in made:
                readers.setdefault(made[id(value)][0], []).append(name)

    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs)))
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(lambda _, __, output, name=name: remember(name, output)))
    with torch.inference_mode():
        network(torch.zeros(1, 3, input_size, input_size))
    for handle in handles:
        handle.remove()
    return [
        (convolution, by[0])
        for convolution, by in readers.items()
        if len(by) == 1 and isinstance(_module(network, by[0]), nn.BatchNorm2d)
    ]


def _what_is_left(norm: nn.Module) -> nn.Module:
    """Timm's normalisation brings dropout and activation along."""
    rest = [part for name in ("drop", "act") if isinstance(part := getattr(norm, name, None), nn.Module)]
    rest = [part for part in rest if not isinstance(part, nn.Identity)]
    return nn.Identity() if not rest else rest[0] if len(rest) == 1 else nn.Sequential(*rest)


def _module(network: nn.Module, name: str) -> nn.Module:
    return network.get_submodule(name)


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
