"""``python -m tests.docker.faults``: what clients see while replicas die, end, hang, are replaced and overloaded."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.docker.cluster import Gateway, Replica, cluster
from tests.docker.load import Asked, Load, radiographs

REPLICAS = 3
RATE = 3.0
"""Requests a second: what the rest can carry while one is away."""
SETTINGS = {"OMP_NUM_THREADS": "1", "CXR_REQUEST_TIMEOUT_S": "20", "CXR_MAX_IN_FLIGHT": "16"}
READ_TIMEOUT = "6s"
"""Of the gateway; short, so that a frozen replica's requests are sent to another while the load goes on."""


@dataclass(frozen=True)
class Figures:
    """What a fault did.

    Attributes:
        retries: requests that the gateway sent to more than one replica.
        refused: answered 503 with Retry-After.
        failed: everything else that is no right answer.
    """

    fault: str
    requests: int
    retries: int
    refused: int
    failed: int
    p99_seconds: float
    details: tuple[str, ...] = ()

    def row(self) -> str:
        """Of the table."""
        cells = (self.requests, self.retries, self.refused, self.failed, f"{self.p99_seconds:.2f}")
        return f"| {self.fault} | " + " | ".join(map(str, cells)) + " |"


def _nothing(load: Load, replicas: Sequence[Replica], seconds: float) -> None:
    load.wait_for(seconds)


def _kill(load: Load, replicas: Sequence[Replica], seconds: float) -> None:
    replicas[0].signal(signal.SIGKILL)
    replicas[0].wait_ended()
    load.wait_for(seconds)
    replicas[0].start()
    replicas[0].wait_ready()


def _end(replica: Replica) -> None:
    replica.signal(signal.SIGTERM)
    if (status := replica.wait_ended()) != 0:
        raise RuntimeError(f"a replica that was told to end ended with {status}")


def _terminate(load: Load, replicas: Sequence[Replica], seconds: float) -> None:
    _end(replicas[1])
    load.wait_for(seconds)
    replicas[1].start()
    replicas[1].wait_ready()


def _freeze(load: Load, replicas: Sequence[Replica], seconds: float) -> None:
    replicas[2].signal(signal.SIGSTOP)
    load.wait_for(seconds + 8)
    replicas[2].signal(signal.SIGCONT)
    replicas[2].wait_ready()


def _restart_in_turn(load: Load, replicas: Sequence[Replica], seconds: float) -> None:
    for replica in replicas:
        _end(replica)
        replica.start()
        replica.wait_ready()
        load.wait_for(seconds / len(replicas))


FAULTS: dict[str, Callable[[Load, Sequence[Replica], float], None]] = {
    "none": _nothing,
    "SIGKILL to one of three": _kill,
    "SIGTERM to one of three": _terminate,
    "SIGSTOP, later SIGCONT to one of three": _freeze,
    "all restarted in turn": _restart_in_turn,
}
OVERLOAD = "threefold overload"


def suffer(
    fault: str,
    front: Gateway,
    replicas: Sequence[Replica],
    asked: Sequence[Asked],
    seconds: float,
    capacity: float = 0.0,
) -> Figures:
    """One fault under a steady load that begins before it and ends after it."""
    before = len(front.entries())
    with Load(front.url, asked, 3 * capacity if fault == OVERLOAD else RATE) as load:
        load.wait_for(1.0)
        FAULTS.get(fault, _nothing)(load, replicas, seconds)
        load.wait_for(2.0)
    entries = front.entries(before + len(load.outcomes))[before:]
    refused = [outcome for outcome in load.outcomes if outcome.status == 503 and outcome.retry_after]
    failed = [outcome for outcome in load.outcomes if not outcome.right and outcome not in refused]
    return Figures(
        fault,
        len(load.outcomes),
        sum("," in str(entry["replicas"]) for entry in entries),
        len(refused),
        len(failed),
        load.p99(),
        tuple(f"{outcome.status} {outcome.detail}" for outcome in failed[:5]),
    )


def measured_capacity(front: Gateway, asked: Sequence[Asked], seconds: float) -> float:
    """Right answers a second under more load than the replicas carry."""
    with Load(front.url, asked, 10 * RATE) as load:
        load.wait_for(seconds)
    right = [outcome for outcome in load.outcomes if outcome.right]
    last = max(outcome.at + outcome.seconds for outcome in right)
    return len(right) / (last - min(outcome.at for outcome in load.outcomes))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all, prints the table; 1 where a client saw a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.docker.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each fault")
    options = parser.parse_args(arguments)
    found = []
    with cluster(REPLICAS, READ_TIMEOUT, SETTINGS) as (front, replicas):
        asked = radiographs(front.url)
        capacity = measured_capacity(front, asked, options.seconds / 2)
        for fault in (*FAULTS, OVERLOAD):
            found.append(suffer(fault, front, replicas, asked, options.seconds, capacity))
            print(found[-1], file=sys.stderr, flush=True)
    print(f"{REPLICAS} replicas, {RATE:g} requests/s, overload at {3 * capacity:.0f}/s\n")
    print("| fault | requests | sent to another | 503 with Retry-After | failed | p99 s |\n|---|---|---|---|---|---|")
    for figures in found:
        print(figures.row())
    wrong = [figures for figures in found if figures.failed or (figures.refused and figures.fault != OVERLOAD)]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
