"""The threads that use the device: one launches batches, others wait for the answers.

A picture that fails does not make the rest of its batch fail.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from app.batching.queues import StageName, StageOutput, StageQueues, Task
from models.runtime.engine import Pending, StageInput
from models.runtime.errors import DeviceFailure, OutOfMemoryError

logger = logging.getLogger("cxr.device")

_TICKS: Final = 10
"""Ticks of the watchdog in the time that a batch may take."""

Launch: TypeAlias = Callable[[Sequence[StageInput], bool], Pending]
"""A stage's ``launch``."""
Observe: TypeAlias = Callable[[StageName, Sequence[Task], float, float], None]
"""Called for each batch that ran: stage, tasks, when it began and how many seconds it took."""


class DeviceLost(RuntimeError):
    """The device no longer computes: the process has to end."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A batch on the device."""

    stage: StageName
    tasks: Sequence[Task]
    started: float
    pending: Pending


class DeviceThreads:
    """Runs what ``StageQueues`` hands out until they are closed and empty, or the device is lost.

    One thread launches batches; for each launch that may be under way, another thread waits for the answer. A watchdog
    thread declares a device that keeps a batch for too long lost, too.
    """

    def __init__(
        self,
        queues: StageQueues,
        launches: Mapping[StageName, Launch],
        on_lost: Callable[[str], None],
        observe: Observe,
        streams: int,
        limit: float,
    ) -> None:
        """Creates the threads; ``start`` starts them.

        Args:
            streams: launches that may be under way at once.
            limit: seconds that a batch may take.
            on_lost: called once, in one of the threads, with the reason, when the device is lost.
        """
        self._queues, self._launches = queues, launches
        self._on_lost, self._observe = on_lost, observe
        self._streams = streams
        self._room = threading.Semaphore(streams)
        self._flights: queue.SimpleQueue[_Flight | None] = queue.SimpleQueue()
        self._state = threading.Lock()
        self._running: dict[Task, int] = {}
        """The tick at which each task began."""
        self._tick = 0
        self._tick_seconds, self._limit = limit / _TICKS, limit
        self._ended = threading.Event()
        self._lost: str | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(loop,), name=name, daemon=True)
            for name, loop in (("device", self._send), *((f"answers-{n}", self._receive) for n in range(streams)))
        ]
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Starts taking batches."""
        for thread in (*self._threads, self._watchdog):
            thread.start()

    def join(self) -> None:
        """Waits until all queued work is done; the queues must be closed."""
        for thread in self._threads:
            thread.join()
        self._ended.set()
        self._watchdog.join()

    def _guarded(self, loop: Callable[[], None]) -> None:
        reason = "a device thread died"
        finished = False
        try:
            loop()
            finished = True
        except DeviceLost as lost:
            reason = str(lost)
        finally:
            if not finished:
                self._give_up(reason)

    def _send(self) -> None:
        while (batch := self._next_batch()) is not None:
            stage, tasks = batch
            self._begin(tasks)
            started = time.monotonic()
            try:
                pending = self._launches[stage]([task.image for task in tasks], all(task.alone for task in tasks))
            except Exception as error:  # noqa: BLE001 - whatever a network raises may only fail the task that causes it
                self._recover(stage, tasks, error)
                continue
            self._flights.put(_Flight(stage, tasks, started, pending))
        self._end_receivers()

    def _receive(self) -> None:
        while (flight := self._flights.get()) is not None:
            try:
                maps, labels = flight.pending.result()
            except Exception as error:  # noqa: BLE001 - as above
                self._recover(flight.stage, flight.tasks, error)
                continue
            self._end(flight.tasks)
            seconds = time.monotonic() - flight.started
            self._observe(flight.stage, flight.tasks, flight.started, seconds)
            for index, task in enumerate(flight.tasks):
                label = None if labels is None else float(labels[index])
                task.deliver(StageOutput(maps[index], label, flight.started - task.queued, seconds))

    def _watch(self) -> None:
        # Counts ticks instead of seconds: after the whole process was suspended, no batch seems to have taken too long.
        while not self._ended.wait(self._tick_seconds):
            with self._state:
                self._tick += 1
                oldest = min(self._running.values(), default=self._tick)
            if self._tick - oldest > _TICKS:
                self._give_up(f"the device has not answered for {self._limit:g} s")
                return

    def _next_batch(self) -> tuple[StageName, list[Task]] | None:
        """Takes the next batch only when it can be launched: the later it is taken, the more it gathers."""
        self._room.acquire()
        batch = self._queues.take()
        if batch is None:
            # Batches that are still on the device may fail and be queued again in parts.
            for _ in range(self._streams - 1):
                self._room.acquire()
            if self._streams > 1:
                self._room.release(self._streams - 1)
            batch = self._queues.take()
        return batch

    def _begin(self, tasks: Sequence[Task]) -> None:
        with self._state:
            self._running.update(dict.fromkeys(tasks, self._tick))
            if self._lost is None:
                return
        _fail(tasks, self._lost)
        raise DeviceLost(self._lost)

    def _end(self, tasks: Sequence[Task]) -> None:
        with self._state:
            for task in tasks:
                self._running.pop(task, None)
        self._room.release()

    def _give_up(self, reason: str) -> None:
        with self._state:
            first, self._lost = self._lost is None, reason
            running, self._running = self._running, {}
        _fail((*running, *self._queues.abort()), reason)
        self._room.release(self._streams)
        self._end_receivers()
        if first:
            self._on_lost(reason)

    def _end_receivers(self) -> None:
        for _ in range(self._streams):
            self._flights.put(None)

    def _recover(self, stage: StageName, tasks: Sequence[Task], error: Exception) -> None:
        """Queues a failed batch again in smaller parts; a task fails only if it fails by itself."""
        if isinstance(error, DeviceFailure):
            raise DeviceLost(f"{stage}: {error}") from error
        if len(tasks) == 1:
            tasks[0].deliver(error)
        else:
            size = 1
            if isinstance(error, OutOfMemoryError):
                size = len(tasks) // 2
                self._queues.shrink(stage, size)
            logger.warning(
                "a batch of %d failed at %s, retried in parts of %d: %s", len(tasks), stage, size, type(error).__name__
            )
            self._queues.put_again(stage, tasks, size)
        self._end(tasks)


def _fail(tasks: Sequence[Task], reason: str) -> None:
    for task in tasks:
        task.deliver(DeviceLost(reason))
