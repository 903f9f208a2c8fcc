"""Threads for the host's work, such as decoding and drawing; what is most urgent is done first."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from math import inf
from queue import PriorityQueue
from typing import Any, NamedTuple, TypeVar

from app.urgency import Turn

_Result = TypeVar("_Result")


class _Job(NamedTuple):
    """One call that waits for a thread. Jobs compare by their turns, then by the order in which they came."""

    turn: Turn
    number: int
    future: Future[Any]
    call: Callable[[], object] | None


class HostPool:
    """A fixed number of threads that take calls by their turns.

    ``ThreadPoolExecutor`` does the same in the order of arrival, so that an urgent radiograph would wait until all that
    came before it are decoded.
    """

    def __init__(self, threads: int) -> None:
        self._jobs: PriorityQueue[_Job] = PriorityQueue()
        self._numbers = count()
        self._threads = [threading.Thread(target=self._work, name=f"host-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, turn: Turn, call: Callable[[], _Result]) -> Future[_Result]:
        """Queues a call; a future that is cancelled before its turn is not called.

        Args:
            turn: the lowest goes first.
        """
        future: Future[_Result] = Future()
        self._jobs.put(_Job(turn, next(self._numbers), future, call))
        return future

    def close(self) -> None:
        """Ends the threads once all calls are done."""
        for _ in self._threads:
            self._jobs.put(_Job(Turn(inf), next(self._numbers), Future(), None))
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (call := (job := self._jobs.get()).call) is not None:
            if job.future.set_running_or_notify_cancel():
                _settle(job.future, call)


def _settle(future: Future[Any], call: Callable[[], object]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - whatever a call raises is its caller's, as in an executor
        future.set_exception(error)
    else:
        future.set_result(result)
