"""``python -m benchmarks.urgency``: what an urgent request waits among bulk, and what it costs the bulk.

In each round, on the same service: urgent requests alone, bulk alone, and both. An urgent request comes every so many
seconds, as emergencies do; bulk is so many clients that each send their next request once they have an answer.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median, quantiles

import httpx

from benchmarks import uploads
from benchmarks.peers.handling import MAX_BATCH
from benchmarks.servers import OURS, Server, running
from tests.support import metrics
from tests.support.polling import until

URGENT, BULK = "u=0", "u=6"
LONGEST, LOSS = 2.5, 0.1
"""The bars: p99 of urgent requests among bulk, in medians of those alone; and the share of its rate that bulk loses."""


@dataclass(frozen=True)
class Round:
    """Milliseconds of urgent requests alone and among bulk, and answers of bulk a second alone and with them."""

    alone: list[float]
    among: list[float]
    bulk_alone: float
    bulk_with: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.urgency", description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="of bulk")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from one urgent request to the next")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uploads", choices=("mixed", "jpeg", "tiny"), default="jpeg")
    options = parser.parse_args(arguments)
    with running(OURS, "embedded", MAX_BATCH) as server:
        rounds = [
            measure(server, options.clients, options.every, options.seconds, options.uploads)
            for _ in range(options.rounds)
        ]
    table, met = render(rounds)
    print(table)
    return 0 if met else 1


def measure(server: Server, clients: int, every: float, seconds: float, kind: str) -> Round:
    """One round."""
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(server.port), "--path", server.paths[True]]
    command += ["--clients", str(clients), "--seconds", str(seconds), "--uploads", kind, "--priority", BULK]
    end = time.monotonic() + seconds
    alone = ask(server, every, kind, lambda: time.monotonic() > end)
    bulk_alone = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as bulk:
        until(lambda: in_flight(server) >= clients, "bulk under way", seconds=60)
        among = ask(server, every, kind, lambda: bulk.poll() is not None)
        assert bulk.stdout is not None
        output = bulk.stdout.read()
    return Round(alone, among, json.loads(bulk_alone.stdout)["rate"], json.loads(output)["rate"])


def ask(server: Server, every: float, kind: str, ended: Callable[[], bool]) -> list[float]:
    """Milliseconds of each urgent request until ``ended``, one at a time."""
    bodies, taken = uploads.bodies(kind), []
    begin = time.monotonic()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"priority": URGENT}, timeout=60) as client:
        for number in count():
            if ended():
                break
            started = time.perf_counter()
            client.post(server.paths[True], content=bodies[number % len(bodies)]).raise_for_status()
            taken.append((time.perf_counter() - started) * 1000)
            time.sleep(max(0.0, begin + (number + 1) * every - time.monotonic()))
    return taken


def in_flight(server: Server) -> float:
    """Requests under way."""
    return metrics.total(httpx.get(f"http://127.0.0.1:{server.port}/metrics").text, "cxr_requests_in_flight")


def render(rounds: Sequence[Round]) -> tuple[str, bool]:
    """A table of the rounds' figures, and whether the bars are met by their medians."""
    lines = ["| urgent alone, p50 ms | among bulk, p50 | p99 | p99 ÷ p50 alone | bulk alone /s | with urgent | lost |"]
    lines += ["|---|---|---|---|---|---|---|"]
    ratios, losses = [], []
    for found in rounds:
        p99 = quantiles(found.among, n=100, method="inclusive")[-1]
        ratios.append(p99 / median(found.alone))
        losses.append(1 - found.bulk_with / found.bulk_alone)
        lines.append(
            f"| {median(found.alone):.1f} | {median(found.among):.1f} | {p99:.1f} | {ratios[-1]:.2f} "
            f"| {found.bulk_alone:.1f} | {found.bulk_with:.1f} | {losses[-1]:.1%} |"
        )
    met = median(ratios) <= LONGEST and median(losses) <= LOSS
    verdict = "met" if met else "**missed**"
    lines.append("")
    lines.append(
        f"p99 ÷ p50 alone: {median(ratios):.2f} ≤ {LONGEST}; lost: {median(losses):.1%} ≤ {LOSS:.0%}: {verdict}"
    )
    return "\n".join(lines), met


if __name__ == "__main__":
    sys.exit(main())
