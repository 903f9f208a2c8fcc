"""``python -m benchmarks.robustness.soak``: an hour of mixed load, and whether the service is the same at its end.

It starts the service, finds what it can take, and sends it a share of that, good requests and bad ones. It fails where
memory, descriptors, threads or latency have grown, or where a request was not answered as it should be.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.peers.workflows import KINDS
from benchmarks.robustness.drift import Line, Sample, compare
from benchmarks.robustness.memory import MEBIBYTE
from benchmarks.robustness.service import program
from benchmarks.robustness.traffic import Traffic
from tests.support.server import running

_CLIENTS: Final = 16
_WARM_UP_SECONDS: Final = 5.0
_PASSED_THROUGH: Final = ("MALLOC_", "LD_PRELOAD", "OMP_", "GLIBC_", "_RJEM_MALLOC", "PYTHONMALLOC")


@dataclass(frozen=True)
class Soak:
    """One run.

    Attributes:
        capacity: requests a second in a closed loop; ``rate``: those that were sent.
        environment: what was set for the service.
        faults: answers that are in no order.
    """

    workflow: str
    environment: Mapping[str, str]
    capacity: float
    rate: float
    seconds: float
    samples: Sequence[Sample]
    faults: Mapping[str, int]

    @property
    def lines(self) -> list[Line]:
        return compare(self.samples)

    @property
    def has_passed(self) -> bool:
        return not self.faults and not any(line.has_drifted for line in self.lines)

    def table(self) -> str:
        """Markdown."""
        total = {name: sum(getattr(each, name) for each in self.samples) for name in ("good", "refused", "left")}
        rows = [
            f"| {line.name} | {line.early:.1f} | {line.late:.1f} | {line.late / line.early - 1:+.1%} "
            f"| {line.allowed:.1f} | {'**drifts**' if line.has_drifted else 'steady'} |"
            for line in self.lines
        ]
        head = f"{self.workflow}, {self.seconds / 60:.1f} min, {self.rate:.1f} of {self.capacity:.1f} requests a second"
        answered = (
            f"{total['good']} good ones answered, {total['refused']} bad ones refused, {total['left']} clients left"
        )
        faults = ", ".join(f"{count} x {name}" for name, count in self.faults.items()) or "none"
        return "\n".join(
            [
                f"{head}; {answered}; failures: {faults}",
                "",
                "| median of | second sixth | last sixth | | allowed | |",
                "|---|---|---|---|---|---|",
                *rows,
            ]
        )


async def soak(
    workflow: str, seconds: float, load: float, every: float, environment: Mapping[str, str], seed: int = 0
) -> Soak:
    """Runs the service and the load.

    Args:
        workflow: of ``benchmarks.peers.workflows``.
        seconds: of the load; a tenth as long, a minute at most, goes before it to find the capacity.
        load: share of the capacity.
        every: seconds between samples.
        environment: set for the service, ``CXR_`` settings and others.
    """
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), program(workflow), **environment) as server:
        traffic = Traffic(server.address, seed)
        await traffic.capacity(_CLIENTS, min(_WARM_UP_SECONDS, seconds / 10))
        capacity = await traffic.capacity(_CLIENTS, min(60.0, seconds / 10))
        _drain(traffic)
        arriving = asyncio.ensure_future(traffic.arrive(load * capacity, seconds))
        samples = await _watch(psutil.Process(server.process.pid), traffic, arriving, every)
        await arriving
        if server.process.poll() is not None:
            traffic.faults[f"the service ended with {server.process.returncode}"] += 1
    return Soak(workflow, dict(environment), capacity, load * capacity, seconds, samples, dict(traffic.faults))


async def _watch(
    process: psutil.Process, traffic: Traffic, arriving: "asyncio.Future[None]", every: float
) -> list[Sample]:
    started, samples = time.monotonic(), list[Sample]()
    while not arriving.done():
        await asyncio.wait({arriving}, timeout=max(0.0, started + every * (len(samples) + 1) - time.monotonic()))
        if not arriving.done():
            samples.append(_sample(process, traffic, time.monotonic() - started))
            print(json.dumps(asdict(samples[-1])), file=sys.stderr, flush=True)
    return samples


def _sample(process: psutil.Process, traffic: Traffic, at: float) -> Sample:
    seconds, counts = _drain(traffic)
    seconds.sort()
    with process.oneshot():
        resident, threads = process.memory_info().rss / MEBIBYTE, process.num_threads()
    return Sample(
        at=round(at, 2),
        resident_mib=round(resident, 2),
        descriptors=process.num_fds(),
        threads=threads,
        p50_ms=round(seconds[len(seconds) // 2] * 1000, 2) if seconds else None,
        p99_ms=round(seconds[int(0.99 * len(seconds))] * 1000, 2) if seconds else None,
        **{name: counts[name] for name in ("good", "refused", "left", "failed")},
    )


def _drain(traffic: Traffic) -> tuple[list[float], Mapping[str, int]]:
    """What was counted since the last call."""
    found = traffic.seconds, traffic.counts
    traffic.seconds, traffic.counts = [], type(traffic.counts)()
    return found


def _setting(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found):
        raise argparse.ArgumentTypeError("expected NAME=VALUE")
    return name, value


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a Markdown table; 1 where something drifts or a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--load", type=float, default=0.8, help="share of the capacity")
    parser.add_argument("--workflow", choices=KINDS, default="embedded")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--env", type=_setting, action="append", default=[], help="NAME=VALUE for the service")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    options = parser.parse_args(arguments)
    inherited = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_THROUGH)}
    environment = {"CXR_DEVICE": "cpu", **inherited, **dict(options.env)}
    found = asyncio.run(
        soak(options.workflow, options.minutes * 60, options.load, options.every, environment, options.seed)
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    verdict = {"passed": found.has_passed, "lines": [asdict(line) for line in found.lines]}
    (options.folder / "soak.json").write_text(json.dumps({**asdict(found), **verdict}, indent=1))
    print(found.table())
    return 0 if found.has_passed else 1


if __name__ == "__main__":
    sys.exit(main())
