"""Between the requests and the device: one thread that alone touches it, and a pool for the host work."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from app.timing import Stopwatch
from models.pixels import Pixels
from models.stage import Prepared
from models.workflow import Analysis, Cropped, Workflow

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


class Batcher:
    """Runs analyses for the event loop without ever blocking it.

    A request's host work (``run_host``) is its own, so its errors are its own; the stages run on the device
    thread, one after the other.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._host = ThreadPoolExecutor(len(os.sched_getaffinity(0)) + 1, thread_name_prefix="host")

    async def run_host(
        self, function: Callable[_Arguments, _Answer], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Answer:
        """Host work of one request in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._host, lambda: function(*arguments, **named))

    async def analyse(self, pixels: Pixels, threshold: float | None, clock: Stopwatch) -> Analysis:
        """One radiograph, uint8 [H, W], through both stages."""
        workflow = self._workflow
        prepared = await self.run_host(_timed, clock, "prepare", lambda: workflow.prepare(pixels))
        maps, _ = await self._run_device(clock, "lungs", lambda: workflow.lungs.run([prepared.picture]))

        def between() -> tuple[Cropped, Prepared]:
            cropped = workflow.crop_lungs(prepared, maps[0])
            return cropped, workflow.disease.prepare(cropped.image)

        cropped, image = await self.run_host(_timed, clock, "between", between)
        maps, labels = await self._run_device(clock, "disease", lambda: workflow.disease.run([image]))
        label = None if labels is None else float(labels[0])
        return await self.run_host(
            _timed, clock, "score", lambda: workflow.conclude(cropped, maps[0], label, threshold)
        )

    def close(self) -> None:
        """Ends the threads once what they have begun is done."""
        self._host.shutdown()
        self._device.shutdown()

    async def _run_device(self, clock: Stopwatch, stage: str, work: Callable[[], _Answer]) -> _Answer:
        queued = time.perf_counter()

        def run() -> _Answer:
            clock.queue += time.perf_counter() - queued
            return _timed(clock, stage, work)

        return await asyncio.get_running_loop().run_in_executor(self._device, run)


def _timed(clock: Stopwatch, stage: str, work: Callable[[], _Answer]) -> _Answer:
    with clock.measure(stage):
        return work()
