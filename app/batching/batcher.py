"""Between the requests and the device: a request awaits its ``Analysis``, stages run in shared batches."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.batching.device import DeviceThreads, Launch, Observe
from app.batching.queues import Answer, StageName, StageQueues, Task
from app.timing import Stopwatch
from models.analysis import Analysis, Cropped, Question
from models.analysis import Prepared as Radiograph
from models.pixels import Pixels
from models.runtime.engine import StageInput
from models.runtime.processors import available_cpus
from models.workflow import Workflow

_Result = TypeVar("_Result")


class Batcher:
    """Runs analyses for the event loop without ever blocking it.

    Three kinds of thread: the loop, which only passes things on; a bounded pool for the host work, which is a
    request's own, so its errors are its own; and those of ``DeviceThreads``, which alone touch the device.
    """

    def __init__(
        self,
        workflow: Workflow,
        queues: StageQueues,
        on_lost: Callable[[str], None],
        observe: Observe = lambda *_: None,
        device_limit: float = 20.0,
    ) -> None:
        """Args:
        on_lost: called in one of the device's threads when it is lost; the process should end.
        observe: told of each batch.
        device_limit: seconds after which a device that has not answered a batch is lost.
        """
        self._workflow, self._queues = workflow, queues
        launches: dict[StageName, Launch] = {"lungs": workflow.lungs.launch, "disease": workflow.disease.launch}
        self._device = DeviceThreads(queues, launches, on_lost, observe, workflow.lungs.streams, device_limit)
        self._host = ThreadPoolExecutor(available_cpus() + 1, thread_name_prefix="host")
        self._under_way = 0
        self._device.start()

    async def analyse(
        self,
        read: Callable[[], tuple[Pixels, tuple[str, ...]]],
        finish: Callable[[Analysis], _Result],
        question: Question,
        clock: Stopwatch,
    ) -> _Result:
        """One radiograph through both stages; cancelling it drops it when its next batch forms.

        Args:
            read: in the pool, gives the radiograph, uint8 [H, W], and the flags that come with it.
            finish: in the pool, makes of the analysis what is returned.
            question: what is asked of the radiograph.

        Raises:
            DeviceLost: the device failed for good.
            QueuesClosed: the service is ending.
        """
        workflow = self._workflow

        # Three visits to the pool, no more: each passes through the loop, and costs as much as a small picture.
        def before() -> Radiograph:
            pixels, flags = read()
            with clock.measure("prepare"):
                return workflow.prepare(pixels, flags, question.polarity)

        def between() -> tuple[Cropped, StageInput]:
            with clock.measure("between"):
                cropped = workflow.crop_lungs(prepared, lungs.map)
                return cropped, workflow.disease.prepare(cropped.image)

        def after() -> _Result:
            with clock.measure("score"):
                analysis = workflow.conclude(cropped, disease.map, disease.label, question)
            return finish(analysis)

        self._under_way += 1
        try:
            prepared = await self._run_host(before)
            lungs = await self._run_stage("lungs", prepared.picture, clock)
            cropped, image = await self._run_host(between)
            disease = await self._run_stage("disease", image, clock)
            return await self._run_host(after)
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Ends the threads once all that was queued is done; no analysis may be under way any more."""
        self._queues.close()
        self._device.join()
        self._host.shutdown()

    async def _run_host(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._host, function)

    async def _run_stage(self, stage: StageName, image: StageInput, clock: Stopwatch) -> Answer:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()

        def deliver(outcome: Answer | Exception) -> None:
            loop.call_soon_threadsafe(_settle, future, outcome)

        task = Task(stage, image, deliver, alone=self._under_way == 1)
        self._queues.put(task)
        try:
            answer = await future
        finally:
            # Whoever stops waiting gives up the place in the queue.
            task.abandoned = True
        clock.queue += answer.waited
        clock.stages[stage] += answer.ran
        return answer


def _settle(future: asyncio.Future[Answer], outcome: Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
