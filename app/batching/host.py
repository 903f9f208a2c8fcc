"""The pool for host work: how much of it runs at once, and how much of it beside the networks."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_Result = TypeVar("_Result")


class HostPool:
    """Runs a request's own work in threads, first come, first served.

    Where networks share the processors with it, only so much of it runs beside them: more would take processors from a
    layer in progress, whose other threads wait for the ones that lost theirs. To be used in one event loop.
    """

    def __init__(self, threads: int, beside_networks: int) -> None:
        """Args:
        threads: how much runs at once.
        beside_networks: the same while a network has work.
        """
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="host")
        self._most, self._beside_networks = threads, beside_networks
        self._running = self._networks = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """What ``function`` returns, called in a thread; once begun it goes on, awaited or not."""
        await self._enter()
        loop = asyncio.get_running_loop()

        def ended(_: Future[_Result]) -> None:
            loop.call_soon_threadsafe(self._leave)

        call = self._threads.submit(function)
        call.add_done_callback(ended)
        return await asyncio.wrap_future(call)

    @contextmanager
    def networks_have_work(self) -> Iterator[None]:
        """Held by everyone who waits for a network."""
        self._networks += 1
        try:
            yield
        finally:
            self._networks -= 1
            self._admit()

    def close(self) -> None:
        """Ends the threads once all that was begun is done."""
        self._threads.shutdown()

    async def _enter(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            # It may have come just now.
            if not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self._running -= 1
        self._admit()

    def _admit(self) -> None:
        limit = self._beside_networks if self._networks else self._most
        while self._waiting and self._running < limit:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._running += 1
