"""What a network needs of a device: parameters, arithmetic, memory traffic, time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.runtime.stage import Stage
from models.weights.networks import build_network

_SEED = 0
_CALIBRATION_RUNS = 3
_CALIBRATION_SHAPE = (2, 3, 256, 256)


@dataclass(frozen=True)
class Demand:
    """What one network needs for one radiograph.

    Attributes:
        parameters: their number.
        operations: multiplications and additions, each counted: twice the multiply-accumulates.
        in_encoder: how many of them its encoder does; 0 for a network without a part of that name.
        moved: bytes that its layers read and write at the precision in use, weights counted once.
        up, down: bytes that travel to the device and back.
    """

    parameters: int
    operations: int
    in_encoder: int
    moved: int
    up: int
    down: int


def demand(network: nn.Module, side: int, gray_bytes: int) -> Demand:
    """Counts one run of the network over float32 [1, 3, side, side] without computing it.

    Args:
        network: moved to the device ``meta``, so it cannot be used afterwards.
        gray_bytes: bytes per pixel on the way to the device: 1 for stage I, 4 for stage II.
    """
    moved = 0

    def count(_: nn.Module, inputs: Sequence[object], output: object) -> None:
        nonlocal moved
        moved += sum(value.nbytes for value in (*inputs, output) if isinstance(value, Tensor))

    network = network.to("meta").eval()
    layers = [module for module in network.modules() if not list(module.children())]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side, device="meta"))
    for handle in handles:
        handle.remove()
    parameters = list(network.parameters())
    return Demand(
        parameters=sum(parameter.numel() for parameter in parameters),
        operations=counter.get_total_flops(),
        in_encoder=sum(
            sum(counts.values()) for name, counts in counter.get_flop_counts().items() if name.endswith(".encoder")
        ),
        moved=moved + sum(parameter.nbytes for parameter in parameters),
        up=side * side * gray_bytes,
        down=side * side * 4,
    )


def untrained_network(architecture: str, encoder: str, *, classification_head: bool = False) -> nn.Module:
    """A network of random weights that runs as fast as a trained one.

    It has the batch statistics of random pictures: without these, activations grow or vanish from layer to layer, and
    arithmetic on very small numbers is slow.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(_SEED)
        network = build_network(architecture, encoder, classification_head=classification_head).train()
        for _ in range(_CALIBRATION_RUNS):
            network(torch.rand(_CALIBRATION_SHAPE))
    return network.eval()


def latencies_ms(stages: Sequence[Stage], rounds: int) -> list[float]:
    """Milliseconds each warm stage takes for one radiograph: medians over rounds in which each runs in turn.

    They take turns so that a change of the machine's speed affects all of them.
    """
    rng = np.random.default_rng(_SEED)
    pictures = [rng.integers(0, 256, (stage.input_size,) * 2, dtype=np.uint8) for stage in stages]
    walls: list[list[float]] = [[] for _ in stages]
    for number in range(rounds + 1):
        for stage, picture, kept in zip(stages, pictures, walls, strict=True):
            start = time.perf_counter()
            stage.run([picture])
            if number:  # the first round does not count
                kept.append((time.perf_counter() - start) * 1000)
    return [median(kept) for kept in walls]
