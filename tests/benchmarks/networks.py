"""``python -m tests.benchmarks.networks``: the two networks alone: what a service around them cannot exceed.

Each is measured as the service runs it (batch normalisation folded) and as the checkpoint has it, in turn, so that
a machine that changes its speed does so for both.
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from models.checkpoints import load_checkpoint
from models.cpu import keep_freed_memory, limit_threads
from models.device import resolve_device, resolve_precision
from models.stage import Role, Stage
from models.weights import default_weights

ROLES: tuple[Role, ...] = ("lungs", "disease")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.networks", description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--give-back", action="store_true", help="leave the memory allocator as it is")
    options = parser.parse_args(arguments)
    limit_threads()
    if not options.give_back:
        keep_freed_memory()
    with ThreadPoolExecutor(1) as device:  # as in the service: not the main thread
        device.submit(report, options).result()


def report(options: argparse.Namespace) -> None:
    """The table."""
    pairs = {"folded": stages(options.device, folded=True), "plain": stages(options.device, folded=False)}
    print("| batch | radiographs a second | without folding | folding gains |")
    print("|---|---|---|---|")
    for batch in options.batches:
        seconds = measure(pairs, batch, options.rounds)
        rates = {name: batch / value for name, value in seconds.items()}
        gain = rates["folded"] / rates["plain"] - 1
        print(f"| {batch} | {rates['folded']:.1f} | {rates['plain']:.1f} | {gain:+.0%} |")


def stages(device_name: str, *, folded: bool) -> list[Stage]:
    """Both stages of the embedded default."""
    device = resolve_device(device_name)
    precision = resolve_precision("auto", device)
    if folded:
        return [Stage.load(default_weights(role), role=role, device=device, precision=precision) for role in ROLES]
    loaded = [load_checkpoint(default_weights(role), role) for role in ROLES]
    return [Stage(network, card.input_size, card.mean, card.std, device, precision) for network, card in loaded]


def measure(pairs: dict[str, list[Stage]], batch: int, rounds: int) -> dict[str, float]:
    """Median seconds in which both stages answer a batch, after one round that does not count."""
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(rounds + 1):
        for name, both in pairs.items():
            started = time.perf_counter()
            for stage in both:
                side = stage.input_size
                stage.run([rng.integers(0, 256, (side, side), dtype=np.uint8) for _ in range(batch)])
            times[name].append(time.perf_counter() - started)
    return {name: median(values[1:]) for name, values in times.items()}


if __name__ == "__main__":
    main()
