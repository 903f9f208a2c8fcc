"""Measures where one request's time goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from app.metrics import STAGES, Metrics


class Interval(NamedTuple):
    """When a step ran, in seconds of ``time.perf_counter``."""

    name: str
    started: float
    ended: float


class Stopwatch:
    """Durations of one radiograph's stages, in seconds, and its wait for the device.

    It moves from thread to thread with the request, and is never used by two threads at once.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.stages = dict.fromkeys(STAGES, 0.0)
        self.queue = 0.0
        self.intervals: list[Interval] = []
        """What was measured, in order."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to ``stage``, one of ``STAGES``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(stage, started, time.perf_counter())

    def add_run(self, stage: str, queued: float, waited: float, ran: float) -> None:
        """Adds a run of a network, and its wait before it.

        Args:
            queued: when it was queued, by ``time.perf_counter``.
        """
        self.queue += waited
        self.intervals.append(Interval("queue", queued, queued + waited))
        self._add(stage, queued + waited, queued + waited + ran)

    def _add(self, stage: str, started: float, ended: float) -> None:
        self.stages[stage] += ended - started
        self.intervals.append(Interval(stage, started, ended))

    @property
    def total(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._started

    def milliseconds(self) -> dict[str, float]:
        """All durations, in milliseconds, for the answer and the log."""
        seconds = {"queue": self.queue, **self.stages, "total": self.total}
        return {name: round(value * 1000, 2) for name, value in seconds.items()}

    def observe(self, metrics: Metrics) -> None:
        """Adds the stages that ran to the metrics."""
        for stage, seconds in self.stages.items():
            if seconds:
                metrics.stage.labels(stage).observe(seconds)
