"""Measures where one request's time goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.metrics import STAGES, Metrics


class Stopwatch:
    """Durations of one request's stages, in seconds, and its wait for the device.

    It moves from thread to thread with the request, and is never used by two threads at once.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.stages = dict.fromkeys(STAGES, 0.0)
        self.queue = 0.0

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to ``stage``, one of ``STAGES``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages[stage] += time.perf_counter() - started

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
