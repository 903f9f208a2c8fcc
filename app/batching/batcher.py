"""Connects requests with the device: pictures run through a network in shared batches, host work runs in a pool."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack

from app.batching.device import DeviceThreads, Observe
from app.batching.host import HostPool
from app.batching.queues import StageName, StageOutput, StageQueues, Task
from app.urgency import Turn
from models.runtime.engine import StageInput
from models.runtime.processors import available_cpus
from models.runtime.stage import Stage

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class Batcher:
    """Runs networks and host work for the event loop without ever blocking it.

    There are three kinds of thread: the event loop, which only passes work on; a bounded pool for host work; and those
    of ``DeviceThreads``, which alone use the device.
    """

    def __init__(
        self,
        stages: Mapping[StageName, Stage],
        queues: StageQueues,
        on_lost: Callable[[str], None],
        observe: Observe,
        device_limit: float,
    ) -> None:
        """Starts the threads.

        Args:
            on_lost: called in a device thread when the device is lost; the process should end.
            observe: called after each batch.
            device_limit: seconds after which a device that has not answered a batch is lost.
        """
        self._queues = queues
        launches = {name: stage.launch for name, stage in stages.items()}
        streams = max(stage.streams for stage in stages.values())
        self._device = DeviceThreads(queues, launches, on_lost, observe, streams, device_limit)
        self._host = HostPool(available_cpus() + 1)
        self._device.start()

    def expect(self, turn: Turn) -> AbstractContextManager[None]:
        """Until exit, and where this request is urgent, no run begins for one that is not and has a later turn."""
        return self._queues.expect(turn)

    async def run(self, stage: StageName, picture: StageInput, turn: Turn, alone: bool = False) -> StageOutput:
        """The output of a network for one picture; a caller that stops waiting gives up its place in the queue.

        Args:
            turn: the request's place among all that wait; the lowest goes first.
            alone: the picture may have the whole device.

        Raises:
            DeviceLost: the device failed for good.
            QueuesClosed: the service is ending.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[StageOutput] = loop.create_future()

        def deliver(outcome: StageOutput | Exception) -> None:
            loop.call_soon_threadsafe(_settle, future, outcome)

        task = Task(stage, picture, deliver, turn, alone)
        self._queues.put(task)
        try:
            return await future
        finally:
            task.abandoned = True

    async def run_on_host(
        self, turn: Turn, function: Callable[[Unpack[_Arguments]], _Result], *arguments: *_Arguments
    ) -> _Result:
        """Calls a function in the host pool, in its turn."""
        return await asyncio.wrap_future(self._host.submit(turn, partial(function, *arguments)))

    def close(self) -> None:
        """Ends the threads once all queued work is done; no request may be under way any more."""
        self._queues.close()
        self._device.join()
        self._host.close()


def _settle(future: asyncio.Future[StageOutput], outcome: StageOutput | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
