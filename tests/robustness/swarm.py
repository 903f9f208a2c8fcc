"""Hostile clients in numbers, and what others see meanwhile: their p99, and the service's memory."""

import asyncio
import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks import uploads
from benchmarks.load import Report, build_requests, measure
from benchmarks.robustness.memory import Memory
from tests.robustness.clients import Client
from tests.support.polling import until
from tests.support.ports import Address
from tests.support.server import Server

FLOOR_MS: Final = 250.0
"""The p99 that an attack may always cause. In a quiet service it is near 20 ms, of some hundred answers the second or
third worst: twice that is what one time slice of the kernel's scheduler, or one collection of garbage, costs on a
machine whose processors the attackers, the others and the service share. An event loop that is held up or a host pool
that is taken shows in seconds."""
TIMES_QUIET: Final = 12
"""So many times the quiet p99 an attack may cause on a slower machine, where that is more than ``FLOOR_MS``."""
_OTHERS: Final = 2
_FIRST_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Found:
    """What an attack did.

    Attributes:
        outcomes: of the hostile clients.
        during_ms: p99 of others.
        quiet_ms: the same without the attack; measured, afterwards, only where ``during_ms`` is over the floor.
        floor_ms: what ``during_ms`` may always be.
        grown_mib: the most resident memory during the attack, over what was resident before.
    """

    outcomes: Counter[str]
    during_ms: float
    quiet_ms: float
    floor_ms: float
    grown_mib: float

    def harmed_others(self) -> bool:
        """Whether their p99 grew by more than a busy machine explains."""
        return self.during_ms > max(TIMES_QUIET * self.quiet_ms, self.floor_ms)


class Others:
    """Well-behaved clients, in a process of their own so that the attackers' work does not count as waiting."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._requests = build_requests(uploads.bodies("jpeg"), "/score?overlay=false")

    def p99_ms(self, port: int, seconds: float) -> float:
        """Of closed-loop clients during ``seconds``; raises AssertionError where one was not answered 200."""
        report: Report = self._pool.submit(measure, port, _OTHERS, seconds, self._requests).result()
        assert set(report.answers) == {"200"}, report.answers
        return report.p99

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown()


class Swarm:
    """``count`` clients, each playing its part again and again with a pause in between, in a thread of their own."""

    def __init__(self, client: Client, address: Address, count: int, pause: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._client, self._address, self._count, self._pause = client, address, count, pause
        self._under_way = threading.Semaphore(0)
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run)
        self._failure: BaseException | None = None

    def __enter__(self) -> "Swarm":
        self._thread.start()
        for _ in range(self._count):
            assert self._under_way.acquire(timeout=_FIRST_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # its loop has failed and is closed
            self._end()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._play())
        except* (AssertionError, OSError, ValueError) as group:
            self._failure = group
            for _ in range(self._count):
                self._under_way.release()

    async def _play(self) -> None:
        stop = asyncio.Event()
        self._end = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._again_and_again(stop))

    async def _again_and_again(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            playing = asyncio.ensure_future(self._client(self._address, stop))
            self._under_way.release()
            self.outcomes[await playing] += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._pause)


def attack(
    server: Server,
    others: Others,
    client: Client,
    count: int,
    pause: float,
    floor_ms: float = FLOOR_MS,
    seconds: float = 1.2,
) -> Found:
    """Measures others during an attack; it is over, and all it held given back, at return.

    Raises:
        AssertionError: the process ended, or others were refused.
        TimeoutError: places stay taken.
    """
    address, memory = server.address, Memory(server.process.pid)
    memory.forget()
    resting = memory.resident_mib()
    with Swarm(client, address, count, pause) as swarm:
        during = others.p99_ms(address[1], seconds)
    grown = memory.peak_mib() - resting
    assert server.process.poll() is None, "the service has died"
    wait_idle(server)
    quiet = others.p99_ms(address[1], seconds) if during > floor_ms else 0.0
    return Found(swarm.outcomes, during, quiet, floor_ms, grown)


def wait_idle(server: Server, seconds: float = 60.0) -> None:
    """Until no request is under way."""
    until(lambda: server.metric("cxr_requests_in_flight") == 0, "all places are given back", seconds, pause=0.05)
