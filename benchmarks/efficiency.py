"""``python -m benchmarks.efficiency``: how much of what the processors allow the service makes of them.

On a CPU networks and host work share the cores: at best the service answers cores ÷ (CPU seconds of the networks + CPU
seconds of the host work, a request) a second. On a shared machine CPU seconds mean another amount of work from one
minute to the next, so the parts are measured beside the whole: the networks alone, the service with free networks and
the service take short turns, many to a round, each stopped (SIGSTOP) where it stands while another runs.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import psutil

from benchmarks.peers.handling import MAX_BATCH
from benchmarks.servers import OURS, Server, running
from models.runtime.processors import available_cpus

NETWORKS, HOST = "networks", "host"
HOST_CLIENTS = 16
ASKING = 0.05
"""Seconds in which a load reads what it was answered and asks again."""
ENDLESS = 86400.0
"""Seconds of a load that is ended from outside."""


@dataclass(frozen=True)
class Turn:
    """What was done in some seconds: radiographs, and CPU seconds for them."""

    seconds: float = 0.0
    radiographs: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Turn") -> "Turn":
        return Turn(
            self.seconds + other.seconds,
            self.radiographs + other.radiographs,
            self.cpu_seconds + other.cpu_seconds,
        )

    @property
    def rate(self) -> float:
        """Radiographs a second."""
        return self.radiographs / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a radiograph."""
        return self.cpu_seconds / self.radiographs * 1000


Run: TypeAlias = Callable[[float], Turn]
"""Goes on with its work for so many seconds."""
Found: TypeAlias = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table of medians over rounds, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficiency", description=__doc__)
    parser.add_argument("--workflow", choices=("embedded", "published"), default="embedded")
    parser.add_argument("--clients", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=12, help="of each in a round")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    parser.add_argument("--max-batch", type=int, default=MAX_BATCH)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with runners(options.workflow, options.max_batch, options.clients) as runs:
        rounds = [take_turns(runs, options.turns, options.seconds) for _ in range(options.rounds)]
    rows = [row(turns, clients) for turns in rounds for clients in options.clients]
    print(json.dumps(rows) if options.json else table(rows))
    return 0


@contextmanager
def runners(workflow: str, batch: int, counts: Sequence[int]) -> Iterator[dict[str, Run]]:
    """The two parts, and the service with each number of clients; each in processes of its own, all stopped."""
    with ExitStack() as stack:
        runs: dict[str, Run] = {NETWORKS: stack.enter_context(networks(workflow, batch))}
        free = stack.enter_context(running(OURS, "free", batch, "--patient"))
        runs[HOST] = stack.enter_context(loaded(free, HOST_CLIENTS))
        for count in counts:
            service = stack.enter_context(running(OURS, workflow, batch, "--patient"))
            runs[str(count)] = stack.enter_context(loaded(service, count))
        yield runs


def take_turns(runs: Mapping[str, Run], count: int, seconds: float) -> dict[str, Turn]:
    """Each in turn, ``count`` times; what they did in all."""
    done = dict.fromkeys(runs, Turn())
    for _ in range(count):
        for name, run in runs.items():
            done[name] += run(seconds)
    return done


def row(done: Mapping[str, Turn], clients: int) -> Found:
    """A round's figures with so many clients."""
    service, need = done[str(clients)], done[NETWORKS].cpu_ms + done[HOST].cpu_ms
    return {
        "clients": clients,
        "rate": service.rate,
        "cpu_ms": service.cpu_ms,
        "networks_ms": done[NETWORKS].cpu_ms,
        "host_ms": done[HOST].cpu_ms,
        "cores_busy": service.cpu_seconds / service.seconds,
        "efficiency": service.rate * need / 1000 / available_cpus(),
    }


def table(rows: Sequence[Found]) -> str:
    """Markdown."""
    lines = [
        "| clients | requests/s | CPU ms | networks alone | host work alone | cores busy | of what the cores allow |",
        "|---|---|---|---|---|---|---|",
    ]
    for clients in dict.fromkeys(one["clients"] for one in rows):
        mine = [one for one in rows if one["clients"] == clients]
        names = ("rate", "cpu_ms", "networks_ms", "host_ms", "cores_busy")
        figures = " | ".join(f"{median(one[name] for one in mine):.2f}" for name in names)
        shares = sorted(one["efficiency"] for one in mine)
        lines.append(f"| {clients} | {figures} | {median(shares):.3f} ({shares[0]:.3f} to {shares[-1]:.3f}) |")
    return "\n".join(lines)


@contextmanager
def networks(workflow: str, batch: int) -> Iterator[Run]:
    """The networks alone, in a process that computes when it is asked to."""
    command = [sys.executable, "-m", "benchmarks.networks", "--workflow", workflow, "--batches", str(batch)]
    with subprocess.Popen(
        [*command, "--on-demand"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None and answers is not None

        def run(seconds: float) -> Turn:
            print(seconds, file=questions, flush=True)
            return Turn(**json.loads(answers.readline()))

        run(1.0)
        yield run
        questions.close()


@contextmanager
def loaded(server: Server, clients: int) -> Iterator[Run]:
    """A load on a server, both stopped, once every client had two answers."""
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(server.port)]
    command += ["--path", server.paths[True], "--clients", str(clients), "--seconds", str(ENDLESS)]
    with psutil.Popen(command, stdout=subprocess.DEVNULL) as load:
        try:
            # Each radiograph is in a batch of either stage.
            while server.batches()["sum"] < 4 * clients:
                _check(load)
                time.sleep(0.1)
            _pause(server, load)
            yield partial(_work, server, load)
        finally:
            server.process.resume()
            with suppress(psutil.NoSuchProcess):
                load.kill()


def _work(server: Server, load: psutil.Popen, seconds: float) -> Turn:
    """Lets a load run on its server for a while; what is under way at its end goes on in the next turn."""
    load.resume()
    time.sleep(ASKING)
    server.process.resume()
    before, cpu, started = server.batches()["sum"], server.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    radiographs = (server.batches()["sum"] - before) / 2
    done = Turn(time.monotonic() - started, radiographs, server.cpu_seconds() - cpu)
    _check(load)
    _pause(server, load)
    return done


def _pause(server: Server, load: psutil.Popen) -> None:
    """Stops the server, then the load, by when this has asked again for all that it was answered.

    To the server, which does not know that it was stopped, a client that has not would have been silent for too long.
    """
    server.process.suspend()
    time.sleep(ASKING)
    load.suspend()


def _check(load: psutil.Popen) -> None:
    if load.poll() is not None:
        raise RuntimeError(f"the load generator ended with {load.returncode}")


if __name__ == "__main__":
    sys.exit(main())
