"""Stages that wait until a test lets them run, and the live service around them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import torch
import uvicorn

from app.main import create_app
from app.service import Service
from app.settings import Settings
from models.runtime.engine import Maps, StageInput
from models.runtime.stage import Launched
from models.workflow import Workflow
from tests.support import metrics
from tests.support.pictures import lung_mask
from tests.support.polling import until
from tests.support.ports import Address
from tests.support.serving import in_a_thread
from tests.support.stubs import BrightIsDisease, FixedMap, TorchStage

SIZE = 128


class LateFailure(Launched):
    """A batch that may fail after its launch."""

    def __init__(self, launched: Launched, fail: Callable[[], None]) -> None:
        self._launched, self._fail = launched, fail

    def result(self) -> Maps:
        self._fail()
        return self._launched.result()


class GatedStage(TorchStage):
    """A stage whose runs wait at a gate, and fail as they are told to.

    Attributes:
        gate: open unless the test closes it.
        entered: released once for each run that reached the gate.
        batches: size of each run, in order.
        alone: whether each run might have the whole device, in order.
        fail, fail_late: called with the batch before it runs, and before its answer is given, as on a GPU.
    """

    def __init__(self, network: torch.nn.Module, size: int) -> None:
        super().__init__(network, input_size=size)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[int] = []
        self.alone: list[bool] = []
        self.fail: Callable[[Sequence[StageInput]], None] = lambda batch: None
        self.fail_late: Callable[[Sequence[StageInput]], None] = lambda batch: None

    def launch(self, batch: Sequence[StageInput], alone: bool = False) -> Launched:
        self.entered.release()
        assert self.gate.wait(30)
        self.batches.append(len(batch))
        self.alone.append(alone)
        self.fail(batch)
        return LateFailure(super().launch(batch, alone), lambda: self.fail_late(batch))


@dataclass
class Gated:
    """A live service whose stage I waits at a gate.

    Attributes:
        client: opens a new connection for each request.
    """

    server: uvicorn.Server
    service: Service
    lungs: GatedStage
    pool: ThreadPoolExecutor
    address: Address
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=self.url, limits=limits, timeout=60)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.address)

    def post(self, upload: bytes, **headers: str) -> Future[httpx.Response]:
        """A request on a connection of its own; underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.pool.submit(self.client.post, "/score?overlay=false", content=upload, headers=named)

    def in_flight(self) -> int:
        return self.gauge("cxr_requests_in_flight")

    def queued(self) -> int:
        return self.gauge("cxr_queue_depth", stage="lungs")

    def gauge(self, name: str, **labels: str) -> int:
        return int(metrics.total(self.client.get("/metrics").text, name, **labels))

    def dropped(self, cause: str) -> float:
        return float(self.service.metrics.dropped.labels(cause)._value.get())

    def entered(self) -> None:
        """Until a run of stage I stands at the gate."""
        assert self.lungs.entered.acquire(timeout=30)


@contextmanager
def gated(**settings: Any) -> Iterator[Gated]:
    """The whole application around gated stages, ready; ended at exit.

    Args:
        settings: of ``app.settings.Settings``.
    """
    lungs = GatedStage(FixedMap(lung_mask(SIZE)), SIZE)
    workflow = Workflow(lungs, GatedStage(BrightIsDisease(), SIZE), threshold=0.3)
    app = create_app(Settings(_env_file=None, **settings), workflow)
    service: Service = app.state.service
    with in_a_thread(app) as (server, address), ThreadPoolExecutor(16) as pool:
        until(lambda: service.ready, "a ready service")
        lungs.entered = threading.Semaphore(0)  # the self-test's run does not count
        live = Gated(server, service, lungs, pool, address)
        try:
            yield live
        finally:
            live.client.close()
            lungs.gate.set()
            server.should_exit = True
