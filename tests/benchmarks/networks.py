"""``python -m tests.benchmarks.networks``: the two networks alone: what a service around them cannot exceed.

With ``--folding`` each batch is measured as the service runs it (batch normalisation folded) and as the checkpoint has
it, in turn, so that a machine that changes its speed does so for both.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np

from models.cards import Role
from models.checkpoints import load_checkpoint
from models.cpu import keep_freed_memory, limit_threads
from models.device import resolve_device, resolve_precision
from models.stage import Stage
from models.weights import default_weights
from models.workflow import Workflow
from tests.benchmarks.peers.workflows import KINDS, build_workflow

ROLES: tuple[Role, ...] = ("lungs", "disease")
BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Limit:
    """Both networks over one batch, one after the other.

    Attributes:
        rate: radiographs a second.
        cpu_ms: CPU milliseconds a radiograph, all threads.
    """

    batch: int
    rate: float
    cpu_ms: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a Markdown table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.networks", description=__doc__)
    parser.add_argument("--workflow", choices=[kind for kind in KINDS if kind != "free"], default="embedded")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--give-back", action="store_true", help="leave the memory allocator as it is")
    parser.add_argument("--folding", action="store_true", help="compare with the networks as the checkpoint has them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    limit_threads()
    if not options.give_back:
        keep_freed_memory()
    with ThreadPoolExecutor(1) as device:  # as in the service: not the main thread
        device.submit(report, options).result()


def report(options: argparse.Namespace) -> None:
    """The table."""
    if options.folding:
        report_folding(options)
        return
    stages = stages_of(build_workflow(options.workflow), max(options.batches))
    limits = [measure({"": stages}, batch, options.rounds)[""] for batch in options.batches]
    if options.json:
        print(json.dumps([asdict(limit) for limit in limits]))
        return
    print("| batch | radiographs a second | CPU ms a radiograph |\n|---|---|---|")
    for limit in limits:
        print(f"| {limit.batch} | {limit.rate:.1f} | {limit.cpu_ms:.1f} |")


def report_folding(options: argparse.Namespace) -> None:
    """The embedded default, folded and not."""
    pairs = {"folded": embedded(options.device, folded=True), "plain": embedded(options.device, folded=False)}
    print("| batch | radiographs a second | without folding | folding gains |\n|---|---|---|---|")
    for batch in options.batches:
        folded, plain = (measure(pairs, batch, options.rounds)[name].rate for name in pairs)
        print(f"| {batch} | {folded:.1f} | {plain:.1f} | {folded / plain - 1:+.0%} |")


def stages_of(workflow: Workflow, largest: int) -> list[Stage]:
    """Both stages, warm."""
    stages = [workflow.lungs, workflow.disease]
    for stage in stages:
        stage.warm_up(largest)
    return stages


def embedded(device_name: str, *, folded: bool) -> list[Stage]:
    """Both stages of the embedded default."""
    device = resolve_device(device_name)
    precisions = {role: resolve_precision("auto", device, role) for role in ROLES}
    if folded:
        return [
            Stage.load(default_weights(role), role=role, device=device, precision=precisions[role]) for role in ROLES
        ]
    loaded = {role: load_checkpoint(default_weights(role), role) for role in ROLES}
    return [
        Stage(network, card.input_size, card.mean, card.std, device, precisions[role])
        for role, (network, card) in loaded.items()
    ]


def measure(pairs: Mapping[str, Sequence[Stage]], batch: int, rounds: int) -> dict[str, Limit]:
    """Medians over rounds in which each pair answers a batch in turn, after one round that does not count."""
    rng = np.random.default_rng(0)
    pictures = {
        side: [rng.integers(0, 256, (side, side), dtype=np.uint8) for _ in range(batch)]
        for side in {stage.input_size for both in pairs.values() for stage in both}
    }
    walls: dict[str, list[float]] = {name: [] for name in pairs}
    cpus: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(rounds + 1):
        for name, both in pairs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for stage in both:
                stage.run(pictures[stage.input_size])
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    return {
        name: Limit(batch, batch / median(walls[name][1:]), median(cpus[name][1:]) / batch * 1000) for name in pairs
    }


if __name__ == "__main__":
    main()
