"""``python -m tests.benchmarks.networks``: the two networks alone: what a service around them cannot exceed.

With ``--steps`` each batch is measured as the service runs it (batch normalisation folded, arithmetic spared, weights
packed, recorded), without packing and record, without sparing, and as the checkpoint has it, in turn, so that a machine
that changes its speed does so for all.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from models.cards import Role
from models.checkpoints import load_checkpoint
from models.cpu import keep_freed_memory, limit_threads
from models.device import resolve_device, resolve_precision
from models.savings import spare_arithmetic
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
    parser.add_argument("--steps", action="store_true", help="compare with the networks as the checkpoint has them")
    parser.add_argument("--on-demand", action="store_true", help="compute for as many seconds as standard input asks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    limit_threads()
    if not options.give_back:
        keep_freed_memory()
    with ThreadPoolExecutor(1) as device:  # as in the service: not the main thread
        device.submit(report, options).result()


def report(options: argparse.Namespace) -> None:
    """The table."""
    if options.steps:
        report_steps(options)
        return
    if options.on_demand:
        compute_on_demand(options)
        return
    stages = stages_of(build_workflow(options.workflow), max(options.batches))
    limits = [measure({"": stages}, batch, options.rounds)[""] for batch in options.batches]
    if options.json:
        print(json.dumps([asdict(limit) for limit in limits]))
        return
    print("| batch | radiographs a second | CPU ms a radiograph |\n|---|---|---|")
    for limit in limits:
        print(f"| {limit.batch} | {limit.rate:.1f} | {limit.cpu_ms:.1f} |")


def compute_on_demand(options: argparse.Namespace) -> None:
    """For each line of standard input runs whole batches for so many seconds, and prints what that took."""
    batch = options.batches[0]
    stages = stages_of(build_workflow(options.workflow), batch)
    pictures = _pictures(stages, batch)
    for line in sys.stdin:
        count, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() < wall + float(line):
            for stage in stages:
                stage.run(pictures[stage.input_size])
            count += batch
        taken = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        print(json.dumps({"radiographs": count, **taken}), flush=True)


def report_steps(options: argparse.Namespace) -> None:
    """As the service runs the pair, and with fewer and fewer of the steps that lead there."""
    pairs = {
        "as the service": stages_of(build_workflow(options.workflow), max(options.batches)),
        "neither packed nor recorded": spared(build_workflow(options.workflow)),
        "nor spared": both(build_workflow(options.workflow)),
    }
    if options.workflow == "embedded":
        pairs["nor folded"] = unfolded(options.device)
    print(f"| batch | {' | '.join(f'{name}, radiographs/s' for name in pairs)} | sparing gains | all gain |")
    print("|---" * (len(pairs) + 3) + "|")
    for batch in options.batches:
        rates = {name: limit.rate for name, limit in measure(pairs, batch, options.rounds).items()}
        sparing = rates["neither packed nor recorded"] / rates["nor spared"] - 1
        whole = rates["as the service"] / list(rates.values())[-1] - 1
        print(f"| {batch} | {' | '.join(f'{rate:.1f}' for rate in rates.values())} | {sparing:+.1%} | {whole:+.1%} |")


def both(workflow: Workflow) -> list[Stage]:
    """Its stages, as they are loaded."""
    return [workflow.lungs, workflow.disease]


def spared(workflow: Workflow) -> list[Stage]:
    """Its stages with their arithmetic spared and nothing else done at start."""
    for stage in both(workflow):
        spare_arithmetic(stage.network, stage.input_size)
    return both(workflow)


def stages_of(workflow: Workflow, largest: int) -> list[Stage]:
    """Both stages, warm."""
    for stage in both(workflow):
        stage.warm_up(largest)
    return both(workflow)


def unfolded(device_name: str) -> list[Stage]:
    """Both stages of the embedded default as their checkpoints have them."""
    device = resolve_device(device_name)
    loaded = {role: load_checkpoint(default_weights(role), role) for role in ROLES}
    return [
        Stage(network, card.input_size, card.mean, card.std, device, resolve_precision("auto", device, role))
        for role, (network, card) in loaded.items()
    ]


def measure(pairs: Mapping[str, Sequence[Stage]], batch: int, rounds: int) -> dict[str, Limit]:
    """Medians over rounds in which each pair answers a batch in turn, after one round that does not count."""
    pictures = _pictures([stage for stages in pairs.values() for stage in stages], batch)
    walls: dict[str, list[float]] = {name: [] for name in pairs}
    cpus: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(rounds + 1):
        for name, stages in pairs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for stage in stages:
                stage.run(pictures[stage.input_size])
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    return {
        name: Limit(batch, batch / median(walls[name][1:]), median(cpus[name][1:]) / batch * 1000) for name in pairs
    }


def _pictures(stages: Sequence[Stage], batch: int) -> dict[int, list[NDArray[np.uint8]]]:
    """A batch for each input size."""
    rng = np.random.default_rng(0)
    sides = {stage.input_size for stage in stages}
    return {side: [rng.integers(0, 256, (side, side), dtype=np.uint8) for _ in range(batch)] for side in sides}


if __name__ == "__main__":
    main()
