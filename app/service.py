"""The state that the lifespan owns: the pipeline, the permits, and whether radiographs are accepted."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn

import psutil

from app.admission import RETRY_AFTER, Admission
from app.batching import Batcher, StageName, StageQueues, Task
from app.errors import NotReady
from app.intake import Limits
from app.keyring import Keyring
from app.logs import SERVICE_LOGGER, log_event
from app.metrics import Metrics
from app.pipeline import Pipeline
from app.settings import Settings
from app.startup import STARTUP_ERRORS, Started, start
from app.tracing import Tracing
from app.version import BUILD, VERSION
from models.runtime import gpus
from models.runtime.device import is_cpu, memory_readers
from models.runtime.processors import limit_threads
from models.workflow import Workflow

MIN_SIDE = 64


class _Parts(NamedTuple):
    """What exists once the start is done."""

    workflow: Workflow
    batcher: Batcher
    pipeline: Pipeline


class Service:
    """The state of one process.

    Attributes:
        failure: why the start failed or the device was lost; None otherwise.
    """

    def __init__(self, settings: Settings, workflow: Workflow | None, on_failure: Callable[[], None]) -> None:
        """Prepares the service; ``begin`` starts it.

        Args:
            workflow: used as it is; None: the weights that the settings name are loaded.
            on_failure: called when the start fails or the device is lost; ends the server.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.tracing = Tracing.from_environment()
        self.limits = Limits(settings.max_upload_bytes, settings.max_pixels, MIN_SIDE)
        self.keys = Keyring(settings.api_keys, settings.api_keys_file)
        self.operations_keys = Keyring(settings.operations_keys, settings.operations_keys_file)
        self.failure: str | None = None
        self._given = workflow
        self._on_failure = on_failure
        self.admission = Admission(settings.max_in_flight, self.metrics.in_flight)
        self._loaded: _Parts | None = None
        self._draining = self._withdrawn = False
        self._starting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        return self._loaded is not None and not self._draining and not self._withdrawn

    @property
    def workflow(self) -> Workflow:
        """The loaded networks; raises NotReady before the start is done."""
        return self._started().workflow

    @property
    def pipeline(self) -> Pipeline:
        """The running pipeline; raises NotReady before the start is done."""
        return self._started().pipeline

    def begin(self) -> None:
        """Starts loading in the background; the server answers health checks meanwhile."""
        limit_threads()
        log_event(SERVICE_LOGGER, "starting", settings=self.settings.public(), version=VERSION, build=BUILD)
        self._starting = asyncio.get_running_loop().create_task(self._start())
        self._starting.add_done_callback(self._start_ended)

    async def started(self) -> None:
        """Waits until the start has succeeded or failed."""
        if self._starting is not None:
            await asyncio.wait([self._starting])

    def withdraw(self) -> None:
        """Makes the service not ready while it still accepts radiographs, so that balancers learn of its end first."""
        self._withdrawn = True
        self.metrics.ready.set(0)

    def drain(self) -> None:
        """Accepts no more radiographs; requests under way go on."""
        self._draining = True
        self.metrics.ready.set(0)

    async def end(self) -> None:
        """Refuses new requests, waits for the start and for all requests under way, then ends the threads.

        The threads of a lost device may never end, so they are left until the process ends.
        """
        self.drain()
        await self.started()
        await self.admission.idle()
        if self._loaded is not None and self.failure is None:
            await asyncio.to_thread(self._loaded.batcher.close)
        await asyncio.to_thread(self.tracing.close)
        gc.unfreeze()
        log_event(SERVICE_LOGGER, "stopped")

    def check_ready(self) -> None:
        """Raises NotReady unless balancers should send radiographs."""
        if not self.ready:
            self._refuse()

    def check_accepting(self) -> None:
        """Raises NotReady unless radiographs are accepted."""
        if self._loaded is None or self._draining:
            self._refuse()

    async def _start(self) -> None:
        try:
            started = await asyncio.to_thread(start, self.settings, self._given)
        except STARTUP_ERRORS as error:
            self._fail("start failed", str(error))
            return
        self._loaded = self._new_parts(started)
        self._announce(started)

    def _start_ended(self, starting: asyncio.Task[None]) -> None:
        """A bug in the start must not leave a process that is neither ready nor dead."""
        if not starting.cancelled() and (error := starting.exception()) is not None:
            self._fail("start failed", f"{type(error).__name__}: {error}")

    def _new_parts(self, started: Started) -> _Parts:
        settings, workflow = self.settings, started.workflow
        queues = StageQueues(max(started.batch_sizes.values()), settings.max_wait_ms / 1000)
        for kind, read in memory_readers(workflow.lungs.device).items():
            self.metrics.device_memory.labels(kind).set_function(read)
        for stage, size in started.batch_sizes.items():
            queues.shrink(stage, size)
            self.metrics.queue_depth.labels(stage).set_function(partial(queues.depth, stage))
        loop = asyncio.get_running_loop()

        def lost(reason: str) -> None:
            loop.call_soon_threadsafe(self._fail, "device lost", reason)

        batcher = Batcher(started.stages, queues, lost, self._observe_batch, settings.device_timeout_s)
        return _Parts(workflow, batcher, Pipeline(workflow, batcher, self.limits, settings.body_parts))

    def _observe_batch(self, stage: StageName, tasks: Sequence[Task], started: float, seconds: float) -> None:
        self.metrics.batch_size.labels(stage).observe(len(tasks))
        self.metrics.batch_seconds.labels(stage).observe(seconds)
        for task in tasks:
            self.metrics.queue_wait.labels(stage).observe(started - task.queued)

    def _fail(self, event: str, reason: str) -> None:
        """Gives up a process that cannot go on: it is no longer live, and the server is told to end."""
        self.failure = reason
        self.drain()
        log_event(SERVICE_LOGGER, event, logging.ERROR, reason=reason)
        self._on_failure()

    def _announce(self, started: Started) -> None:
        process = psutil.Process()
        seconds = time.time() - process.create_time()
        device = started.workflow.lungs.device
        for role, stage in started.stages.items():
            card = stage.card
            if card is not None:
                self.metrics.refer(card.reference)
                self.metrics.model.labels(role).info(
                    {"name": card.name, "architecture": card.display_architecture, "sha256": card.sha256 or ""}
                )
        self.metrics.gpu_unused.set(self.settings.device == "auto" and is_cpu(device) and gpus.are_there())
        self.metrics.start_seconds.set(seconds)
        self.metrics.ready.set(self.ready)
        log_event(
            SERVICE_LOGGER,
            "ready",
            device=device,
            precision={name: stage.precision for name, stage in started.stages.items()},
            weights={name: stage.card.sha256 if stage.card else None for name, stage in started.stages.items()},
            batch_size=started.batch_sizes,
            start_seconds=round(seconds, 2),
            resident_mib=round(process.memory_info().rss / 2**20),
        )

    def _started(self) -> _Parts:
        if self._loaded is None:
            self._refuse()
        return self._loaded

    def _refuse(self) -> NoReturn:
        state = "broken" if self.failure else "draining" if self._draining or self._withdrawn else "starting"
        raise NotReady(f"The service is {state}", RETRY_AFTER)
