"""The one thread that touches the device: takes batches, runs them, and keeps one's failure from the others."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.batching.queues import Answer, StageName, StageQueues, Task
from models.device import is_device_lost, is_out_of_memory
from models.pixels import ProbabilityMap
from models.stage import Prepared

logger = logging.getLogger("cxr.device")

Run: TypeAlias = Callable[[Sequence[Prepared]], tuple[ProbabilityMap, NDArray[np.float32] | None]]
"""A stage's ``run``."""
Observe: TypeAlias = Callable[[StageName, Sequence[Task], float, float], None]
"""Told of each batch that ran: stage, tasks, when it began and how many seconds it took."""


class DeviceLost(RuntimeError):
    """The device no longer computes: the process has to end."""


class DeviceThread:
    """Runs what ``StageQueues`` hands out until they are closed and empty, or the device is lost."""

    def __init__(
        self,
        queues: StageQueues,
        runs: Mapping[StageName, Run],
        on_lost: Callable[[str], None],
        observe: Observe = lambda *_: None,
    ) -> None:
        """Args:
        on_lost: called in the device thread, once, with the reason, when it ends before its time.
        """
        self._queues, self._runs = queues, runs
        self._on_lost, self._observe = on_lost, observe
        self._thread = threading.Thread(target=self._loop, name="device", daemon=True)

    def start(self) -> None:
        """Begins to take batches."""
        self._thread.start()

    def join(self) -> None:
        """Waits until all that was queued is done; the queues must be closed."""
        self._thread.join()

    def _loop(self) -> None:
        reason = "the device thread died"
        batch: tuple[StageName, list[Task]] | None = None
        finished = False
        try:
            while (batch := self._queues.take()) is not None:
                self._run(*batch)
            finished = True
        except DeviceLost as lost:
            reason = str(lost)
        finally:
            if not finished:
                self._give_up(reason, batch[1] if batch else [])

    def _give_up(self, reason: str, running: Sequence[Task]) -> None:
        for task in (*running, *self._queues.close()):
            task.deliver(DeviceLost(reason))
        self._on_lost(reason)

    def _run(self, stage: StageName, tasks: Sequence[Task]) -> None:
        started = time.monotonic()
        try:
            maps, labels = self._runs[stage]([task.image for task in tasks])
        except Exception as error:  # noqa: BLE001 - whatever a network raises must end at the one it belongs to
            self._recover(stage, tasks, error)
            return
        seconds = time.monotonic() - started
        self._observe(stage, tasks, started, seconds)
        for index, task in enumerate(tasks):
            label = None if labels is None else float(labels[index])
            task.deliver(Answer(maps[index], label, started - task.queued, seconds))

    def _recover(self, stage: StageName, tasks: Sequence[Task], error: Exception) -> None:
        """Runs the batch again in smaller parts; only what fails alone fails."""
        if is_device_lost(error):
            raise DeviceLost(f"{stage}: {error}") from error
        if len(tasks) == 1:
            tasks[0].deliver(error)
            return
        size = 1
        if is_out_of_memory(error):
            size = len(tasks) // 2
            self._queues.shrink(stage, size)
        logger.warning("a batch of %d failed at %s, run again by %d: %s", len(tasks), stage, size, type(error).__name__)
        for first in range(0, len(tasks), size):
            part = [task for task in tasks[first : first + size] if not task.abandoned]
            if part:
                self._run(stage, part)
