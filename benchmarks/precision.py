"""``python -m benchmarks.precision``: what half precision does to shares and scores, on a radiograph pack.

For GPUs: in PyTorch, on a GPU with its own arithmetic, on a CPU with its libraries', which round the same way (float16
is slow there). What OpenVINO does on a CPU: ``python -m models.training precisions``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.analysis import Analysis
from models.pack import Pack
from models.precision import Precision
from models.runtime.device import resolve_device
from models.runtime.processors import limit_threads
from models.runtime.stage import Stage
from models.weights import default_weights
from models.weights.cards import Role
from models.weights.checkpoints import load_checkpoint
from models.workflow import Workflow
from tests.support.stubs import TorchStage

TOLERANCE = 0.01
PAIRS: tuple[tuple[Precision, Precision], ...] = (
    ("float32", "float16"),
    ("float16", "float16"),
    ("float32", "bfloat16"),
    ("bfloat16", "bfloat16"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args(arguments)
    limit_threads()
    pictures = [case.pixels for case in Pack(options.data).cases if case.split == options.split]

    def analyses(lungs: Precision, disease: Precision) -> list[Analysis]:
        workflow = build(options.device, lungs, disease)
        starts = range(0, len(pictures), options.batch)
        return [found for first in starts for found in workflow.analyse_batch(pictures[first : first + options.batch])]

    exact = analyses("float32", "float32")
    print(f"{len(pictures)} radiographs against float32")
    print("| stage I | stage II | share moves: mean | 95 % | most | scores that change | of these not borderline |")
    print("|---|---|---|---|---|---|---|")
    for lungs, disease in PAIRS:
        print(f"| {lungs} | {disease} | {compare(exact, analyses(lungs, disease))} |")


def build(device: str, lungs: Precision, disease: Precision) -> Workflow:
    """The embedded default."""

    where = resolve_device(device)

    def load(role: Role, precision: Precision) -> Stage:
        network, card = load_checkpoint(default_weights(role), role)
        kind = TorchStage if where == "cpu" else Stage
        return kind(network, card.input_size, card.mean, card.std, where, precision, card)

    return Workflow(load("lungs", lungs), load("disease", disease))


def compare(exact: Sequence[Analysis], lowered: Sequence[Analysis]) -> str:
    """The table's cells."""
    moves = np.array([np.nanmax(np.abs(np.subtract(a.shares, b.shares))) for a, b in zip(exact, lowered, strict=True)])
    changed = [a for a, b in zip(exact, lowered, strict=True) if a.score != b.score]
    clear = sum("borderline" not in analysis.flags for analysis in changed)
    figures = f"{moves.mean():.4f} | {np.quantile(moves, 0.95):.4f} | {moves.max():.4f}"
    return f"{figures} | {len(changed)} | {clear}"


if __name__ == "__main__":
    main()
