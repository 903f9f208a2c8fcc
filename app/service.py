"""What the lifespan owns: the workflow, its batcher, the permits, and whether radiographs are taken."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn

import psutil

from app.admission import RETRY_AFTER, Admission
from app.batching import STAGE_NAMES, Batcher, StageName, StageQueues, Task
from app.errors import NotReady
from app.intake import Limits
from app.logs import SERVICE_LOGGER, log_event
from app.metrics import Metrics
from app.settings import Settings
from app.version import BUILD, VERSION
from models.cards import Role
from models.files import CheckpointError
from models.runtime import gpus
from models.runtime.device import default_batch_size, is_cpu, memory_readers, resolve_device
from models.runtime.errors import DeviceError
from models.runtime.processors import limit_threads
from models.runtime.stage import Stage
from models.selftest import SelfTestError, run_self_test
from models.weights import default_weights
from models.workflow import Workflow

MIN_SIDE = 64

STARTUP_ERRORS = (CheckpointError, DeviceError, SelfTestError)


class Service:
    """One process's state.

    Attributes:
        failure: why the start failed; None while starting and when started.
    """

    def __init__(self, settings: Settings, workflow: Workflow | None, on_failure: Callable[[], None]) -> None:
        """Args:
        workflow: used as it is; None loads the weights that the settings name.
        on_failure: called once when the start fails; ends the server.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.limits = Limits(settings.max_upload_bytes, settings.max_pixels, MIN_SIDE)
        self.failure: str | None = None
        self._given = workflow
        self._on_failure = on_failure
        self.admission = Admission(settings.max_in_flight, self.metrics.in_flight)
        self._loaded: tuple[Workflow, Batcher] | None = None
        self._draining = False
        self._starting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        return self._loaded is not None and not self._draining

    @property
    def workflow(self) -> Workflow:
        """Raises NotReady before the start is done."""
        return self._started()[0]

    @property
    def batcher(self) -> Batcher:
        """Raises NotReady before the start is done."""
        return self._started()[1]

    def begin(self) -> None:
        """Starts loading in the background; the server answers health checks meanwhile."""
        limit_threads()
        log_event(SERVICE_LOGGER, "starting", settings=self.settings.public(), version=VERSION, build=BUILD)
        self._starting = asyncio.get_running_loop().create_task(self._start())
        self._starting.add_done_callback(self._start_ended)

    async def started(self) -> None:
        """Waits for the end of the start, good or bad."""
        if self._starting is not None:
            await asyncio.wait([self._starting])

    def drain(self) -> None:
        """No longer ready; what is under way goes on."""
        self._draining = True
        self.metrics.ready.set(0)

    async def end(self) -> None:
        """Takes no more, waits for the start and for all that is under way, then ends the threads.

        Those of a lost device may never end, and are left to the end of the process.
        """
        self.drain()
        await self.started()
        await self.admission.idle()
        if self._loaded is not None and self.failure is None:
            await asyncio.to_thread(self._loaded[1].close)
        gc.unfreeze()
        log_event(SERVICE_LOGGER, "stopped")

    def check_ready(self) -> None:
        """Raises NotReady unless radiographs are taken."""
        if not self.ready:
            self._refuse()

    async def _start(self) -> None:
        try:
            workflow, sizes = await asyncio.to_thread(self._load)
        except STARTUP_ERRORS as error:
            self._fail("start failed", str(error))
            return
        self._loaded = workflow, self._new_batcher(workflow, sizes)
        self._announce(workflow, sizes)

    def _start_ended(self, starting: asyncio.Task[None]) -> None:
        """A bug in the start must not leave a process that is neither ready nor dead."""
        if not starting.cancelled() and (error := starting.exception()) is not None:
            self._fail("start failed", f"{type(error).__name__}: {error}")

    def _load(self) -> tuple[Workflow, dict[StageName, int]]:
        """The workflow, ready to run, and the largest batch of each stage."""
        workflow = self._given or load_workflow(self.settings)
        stages: dict[StageName, Stage] = {"lungs": workflow.lungs, "disease": workflow.disease}
        wanted = self.settings.max_batch_size or default_batch_size(workflow.lungs.device)
        # Compiling for a CPU takes a second a stage; a GPU's graphs are captured one after another.
        with ThreadPoolExecutor(len(stages) if is_cpu(workflow.lungs.device) else 1) as pool:
            sizes = dict(zip(stages, pool.map(lambda stage: stage.warm_up(wanted), stages.values()), strict=True))
        run_self_test(workflow)
        _set_heap_aside()
        return workflow, sizes

    def _new_batcher(self, workflow: Workflow, sizes: Mapping[StageName, int]) -> Batcher:
        queues = StageQueues(max(sizes.values()), self.settings.max_wait_ms / 1000)
        for kind, read in memory_readers(workflow.lungs.device).items():
            self.metrics.device_memory.labels(kind).set_function(read)
        for stage in STAGE_NAMES:
            queues.shrink(stage, sizes[stage])
            self.metrics.queue_depth.labels(stage).set_function(partial(queues.depth, stage))
        loop = asyncio.get_running_loop()

        def lost(reason: str) -> None:
            loop.call_soon_threadsafe(self._fail, "device lost", reason)

        return Batcher(workflow, queues, lost, self._observe_batch, self.settings.device_timeout_s)

    def _observe_batch(self, stage: StageName, tasks: Sequence[Task], started: float, seconds: float) -> None:
        self.metrics.batch_size.labels(stage).observe(len(tasks))
        self.metrics.batch_seconds.labels(stage).observe(seconds)
        for task in tasks:
            self.metrics.queue_wait.labels(stage).observe(started - task.queued)

    def _fail(self, event: str, reason: str) -> None:
        """The process cannot go on: liveness goes, and the server is told to end."""
        self.failure = reason
        self.drain()
        log_event(SERVICE_LOGGER, event, logging.ERROR, reason=reason)
        self._on_failure()

    def _announce(self, workflow: Workflow, batch_sizes: Mapping[StageName, int]) -> None:
        process = psutil.Process()
        seconds = time.time() - process.create_time()
        for role, stage in (("lungs", workflow.lungs), ("disease", workflow.disease)):
            card = stage.card
            if card is not None:
                self.metrics.refer(card.reference)
                self.metrics.model.labels(role).info(
                    {"name": card.name, "architecture": card.display_architecture, "sha256": card.sha256 or ""}
                )
        unused = self.settings.device == "auto" and is_cpu(workflow.lungs.device) and gpus.are_there()
        self.metrics.gpu_unused.set(unused)
        self.metrics.start_seconds.set(seconds)
        self.metrics.ready.set(self.ready)
        log_event(
            SERVICE_LOGGER,
            "ready",
            device=str(workflow.lungs.device),
            precision={"lungs": workflow.lungs.precision, "disease": workflow.disease.precision},
            batch_size=batch_sizes,
            start_seconds=round(seconds, 2),
            resident_mib=round(process.memory_info().rss / 2**20),
        )

    def _started(self) -> tuple[Workflow, Batcher]:
        if self._loaded is None:
            self._refuse()
        return self._loaded

    def _refuse(self) -> NoReturn:
        state = "broken" if self.failure else "draining" if self._draining else "starting"
        raise NotReady(f"The service is {state}", RETRY_AFTER)


def _set_heap_aside() -> None:
    """Keeps the collector of cycles from what lives as long as the service does.

    Pydicom, OpenVINO and their like hold hundreds of thousands of objects; a full collection walks them all, and every
    thread waits.
    """
    gc.collect()
    gc.freeze()


def load_workflow(settings: Settings) -> Workflow:
    """Both stages on the device, as the settings say.

    Raises:
        CheckpointError, DeviceError: with one line that says what is wrong.
    """
    device = resolve_device(settings.device)

    def load(role: Role, weights: Path | None) -> Stage:
        return Stage.load(
            weights or default_weights(role),
            role=role,
            device=device,
            precision=settings.precision,
            cache=settings.cache_dir,
        )

    lungs, disease = load("lungs", settings.lungs_weights), load("disease", settings.disease_weights)
    return Workflow(lungs, disease, threshold=settings.threshold)
