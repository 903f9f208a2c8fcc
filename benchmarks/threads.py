"""``python -m benchmarks.threads``: which of the service's threads take its CPU time; Linux only.

What the networks take alone, and the host work alone, is in the tables of ``make bench``: the rest is what they cost
each other.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil

from benchmarks.measuring import Load
from benchmarks.peers.handling import MAX_BATCH
from benchmarks.servers import OURS, running

KINDS = {
    "MainThread": "event loop",
    "host": "host pool",
    "device": "launches of networks",
    "answers": "answers of the networks",
    "": "networks",
}
"""By the beginning of a thread's name; the system keeps fifteen characters of it."""
ENDED = "threads that ended meanwhile, and others"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table: CPU milliseconds an answer, medians over rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--workflow", choices=("embedded", "published"), default="embedded")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    found, rates = [], []
    with running(OURS, options.workflow, MAX_BATCH) as server:
        # One load before, so that every thread is there to be named; one after, by whose end they are.
        Load(server, "mixed", options.clients, 1.0).run()
        server.process.send_signal(signal.SIGUSR1)
        Load(server, "mixed", options.clients, 1.0).run()
        for _ in range(options.rounds):
            before = cpu_seconds(server.process)
            report = Load(server, "mixed", options.clients, options.seconds).run()
            after = cpu_seconds(server.process)
            taken = {kind: after[kind] - before[kind] for kind in after}
            whole = sum(taken.values())
            found.append({kind: seconds / whole * report["server_cpu_ms"] for kind, seconds in taken.items()})
            rates.append(report["rate"])
    print(f"{options.clients} clients, {median(rates):.1f} requests a second\n")
    print("| threads | CPU ms a request |\n|---|---|")
    for kind in (*KINDS.values(), ENDED):
        print(f"| {kind} | {median(one[kind] for one in found):.1f} |")
    return 0


def cpu_seconds(process: psutil.Process) -> dict[str, float]:
    """CPU seconds so far, by kind of thread; together what the process has taken."""
    seconds = dict.fromkeys((*KINDS.values(), ENDED), 0.0)
    for thread in process.threads():
        # A thread may end between being listed and being asked for its name.
        with suppress(FileNotFoundError, ProcessLookupError):
            name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text(encoding="utf-8")
            seconds[_kind(name)] += thread.user_time + thread.system_time
    times = process.cpu_times()
    seconds[ENDED] = times.user + times.system - sum(seconds.values())
    return seconds


def _kind(name: str) -> str:
    return next(kind for start, kind in KINDS.items() if name.startswith(start))


if __name__ == "__main__":
    sys.exit(main())
