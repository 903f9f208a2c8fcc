"""Batch normalisation folded into the convolutions before it: the same arithmetic in fewer passes over memory."""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.rewriting import answers, answers_alike, example_of, replace_submodule


def fold_batch_norms(network: nn.Module, input_size: int) -> bool:
    """Folds, in place, every batch normalisation that alone reads a convolution's output.

    Pairs are found by running the network, so it does not matter how it is written; what cannot be seen that way
    (an output that a plain function reads as well) shows in the answer, which is compared.

    Args:
        network: in eval mode, on the CPU, float32 or float64; takes [1, 3, input_size, input_size].

    Returns:
        Whether the network still answers the same; if not, it must not be used.
    """
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    example = example_of(1, input_size, dtype)
    pairs, before = _find_pairs(network, example)
    for convolution, norm in pairs:
        conv = cast("nn.Conv2d", network.get_submodule(convolution))
        batch_norm = cast("nn.BatchNorm2d", network.get_submodule(norm))
        replace_submodule(network, convolution, fuse_conv_bn_eval(conv, batch_norm))
        replace_submodule(network, norm, _what_is_left(batch_norm))
    return answers_alike(network, example, before)


def _find_pairs(network: nn.Module, example: Tensor) -> tuple[list[tuple[str, str]], tuple[Tensor, ...]]:
    """Names of each convolution and the batch normalisation that alone reads its output, and the answer."""
    made: dict[int, tuple[str, Tensor]] = {}
    readers: dict[str, list[str]] = {}

    def remember(name: str, module: nn.Module, inputs: tuple[object, ...], output: Tensor) -> None:
        made[id(output)] = name, output  # kept alive, so that its id stays its own

    def look(name: str, module: nn.Module, inputs: tuple[object, ...]) -> None:
        for value in inputs:
            if id(value) in made:
                readers.setdefault(made[id(value)][0], []).append(name)

    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(partial(look, name)))
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(partial(remember, name)))
    answer = answers(network, example)
    for handle in handles:
        handle.remove()
    pairs = [
        (convolution, names[0])
        for convolution, names in readers.items()
        if len(names) == 1 and isinstance(network.get_submodule(names[0]), nn.BatchNorm2d)
    ]
    return pairs, answer


def _what_is_left(norm: nn.Module) -> nn.Module:
    """Timm's normalisation brings dropout and activation along."""
    parts = [getattr(norm, name, None) for name in ("drop", "act")]
    rest = [part for part in parts if isinstance(part, nn.Module) and not isinstance(part, nn.Identity)]
    return nn.Sequential(*rest)
