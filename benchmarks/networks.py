"""``python -m benchmarks.networks``: the two networks alone: what a service around them cannot exceed.

With ``--precisions`` each number format that the processor has is measured, and eager PyTorch, in turn, so that a
machine that changes its speed does so for all.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.workflows import KINDS, build_workflow, in_pytorch
from models.precision import Precision
from models.runtime.openvino import supported_precisions
from models.runtime.processors import available_cpus, limit_threads
from models.runtime.stage import Stage
from models.weights.cards import Role
from models.workflow import Workflow

ROLES: tuple[Role, ...] = ("lungs", "disease")
BATCHES = (1, 2, 4)
_A_TURN = 5


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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("--workflow", choices=[kind for kind in KINDS if kind != "free"], default="embedded")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precisions", nargs="+", choices=("auto", *get_args(Precision)), help="compare these")
    parser.add_argument("--on-demand", action="store_true", help="compute for as many seconds as standard input asks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    limit_threads()
    with ThreadPoolExecutor(1) as device:  # as in the service: not the main thread
        device.submit(report, options).result()


def report(options: argparse.Namespace) -> None:
    """The table."""
    if options.precisions:
        report_precisions(options)
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


def report_precisions(options: argparse.Namespace) -> None:
    """The pair in each number format, and in PyTorch, as people write it; in turn."""
    pairs: dict[str, Sequence[Stage]] = {"PyTorch, layer by layer": in_pytorch(options.workflow)}
    for precision in options.precisions:
        if precision not in {"auto", *supported_precisions()}:
            continue
        os.environ["CXR_PRECISION"] = precision
        pairs[precision] = stages_of(build_workflow(options.workflow), 1)
    batches = [1, max(2, available_cpus())]
    found = [measure(pairs, batch, options.rounds) for batch in batches]
    print("| networks | one at a time, radiographs/s | CPU ms | side by side, radiographs/s | CPU ms |")
    print("|---|---|---|---|---|")
    for name in pairs:
        cells = " | ".join(f"{limits[name].rate:.1f} | {limits[name].cpu_ms:.1f}" for limits in found)
        print(f"| {name} | {cells} |")


def stages_of(workflow: Workflow, largest: int) -> list[Stage]:
    """Both stages, warm."""
    stages = [workflow.lungs, workflow.disease]
    for stage in stages:
        stage.warm_up(largest)
    return stages


def measure(pairs: Mapping[str, Sequence[Stage]], batch: int, rounds: int) -> dict[str, Limit]:
    """Medians over rounds in which each pair answers ``_A_TURN`` batches, after one round that does not count.

    Several, as the threads of the one before still turn for some milliseconds.
    """
    pictures = _pictures([stage for stages in pairs.values() for stage in stages], batch)
    walls: dict[str, list[float]] = {name: [] for name in pairs}
    cpus: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(rounds + 1):
        for name, stages in pairs.items():
            for turn in range(-1, _A_TURN):
                if turn == 0:
                    wall, cpu = time.perf_counter(), time.process_time()
                for stage in stages:
                    stage.run(pictures[stage.input_size])
            walls[name].append((time.perf_counter() - wall) / _A_TURN)
            cpus[name].append((time.process_time() - cpu) / _A_TURN)
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
