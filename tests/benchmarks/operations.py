"""``python -m tests.benchmarks.operations``: what a radiograph asks of a device: arithmetic, and memory that moves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.stage import Stage
from tests.benchmarks.peers.workflows import Kind, build_workflow

KINDS: tuple[Kind, ...] = ("embedded", "published")


@dataclass(frozen=True)
class Demand:
    """Of one network and one radiograph.

    Attributes:
        parameters: their number.
        operations: multiplications and additions, each counted.
        moved: bytes that its layers read and write at the precision in use, weights counted once.
        up, down: bytes that travel to the device and back.
    """

    parameters: int
    operations: int
    moved: int
    up: int
    down: int


def main() -> None:
    """Prints a Markdown table."""
    print("| networks | stage | parameters, M | operations, G | memory moved, MB | to the device, kB | back, kB |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        workflow = build_workflow(kind)
        for name, stage, gray_bytes in (("I", workflow.lungs, 1), ("II", workflow.disease, 4)):
            found = demand(stage, gray_bytes)
            counted = (found.parameters / 1e6, found.operations / 1e9, found.moved / 1e6)
            cells = (*counted, found.up / 1e3, found.down / 1e3)
            print(f"| {kind} | {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")


def demand(stage: Stage, gray_bytes: int) -> Demand:
    """Counted while the network runs once.

    Args:
        gray_bytes: of a pixel on its way to the device: 1 for stage I's, 4 for stage II's.
    """
    moved = 0

    def count(_: nn.Module, inputs: Sequence[object], output: object) -> None:
        nonlocal moved
        moved += sum(value.nbytes for value in (*inputs, output) if isinstance(value, Tensor))

    layers = [module for module in stage.network.modules() if not list(module.children())]
    handles = [layer.register_forward_hook(count) for layer in layers]
    side = stage.input_size
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        stage.network(torch.zeros(1, 3, side, side, device=stage.device))
    for handle in handles:
        handle.remove()
    parameters = list(stage.network.parameters())
    return Demand(
        parameters=sum(parameter.numel() for parameter in parameters),
        operations=counter.get_total_flops(),
        moved=moved + sum(parameter.nbytes for parameter in parameters),
        up=side * side * gray_bytes,
        down=side * side * 4,
    )


if __name__ == "__main__":
    main()
