"""LitServe: API servers (one a core) that decode and render, one inference worker that takes batches.

A worker runs ``decode_request``, ``predict`` and ``encode_response`` in turn, so whatever these do keeps the networks
waiting. Here only what needs the networks is theirs: an endpoint's request type may be a FastAPI dependency, which runs
in the API server, and so does the sending of a response. Tried beside it: all host work in threads of the worker, which
is as fast where networks and host work share two cores anyway, and slower with free networks; one API server, slower.

Batches are gathered by a ``LitLoop`` of our own, the framework's way to change that. The default one polls the queue,
which is another process: with ``batch_timeout=0`` without a pause, else every millisecond until the time is up. Its
best, 10 ms, is as fast under load, but a single client waits 34 ms for an answer instead of 27.

``fast_queue=True`` (ZeroMQ) has no effect in 0.2.19, as the option reaches the transport under a name that this
ignores; turned on behind its back it loses answers. The compression of answers is taken out: ours are not compressed.
"""

import os
import signal
from contextlib import suppress
from functools import cache
from queue import Empty, Queue
from types import FrameType
from typing import Annotated, Any

import litserve
from fastapi import Depends, Request, Response
from litserve.loops import BatchedLoop
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from app.intake import Radiograph
from benchmarks.peers.crossing import pack, unpack
from benchmarks.peers.handling import HOST, JSON, TIMEOUT_SECONDS, Host, Networks, Options
from benchmarks.peers.workflows import build_outline, spare_threads, start_workflow
from models.analysis import Analysis, Prepared
from models.runtime.processors import available_cpus

READY_PATH = "/health"
SCORE_PATHS = {True: "/score?overlay=true", False: "/score?overlay=false"}
"""Where a radiograph is scored, with the overlay and without."""

_MAIN_PROCESS = os.getpid()


@cache
def _host() -> Host:
    return Host(build_outline(Options.inherited().kind))


async def _receive(request: Request, overlay: bool = True) -> Prepared:
    """In the API server. What it answers goes to the inference worker; the radiograph itself stays."""
    upload = await request.body()
    request.state.radiograph, prepared = await run_in_threadpool(_host().begin, upload)
    request.state.overlay = overlay
    return prepared


class _Rendered(Response):
    """An analysis on its way to the API server, where it becomes the answer."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self._packed = pack(analysis)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        body = await run_in_threadpool(self._render, state["radiograph"], state["overlay"])
        await Response(body, media_type=JSON)(scope, receive, send)

    def _render(self, radiograph: Radiograph, overlay: bool) -> bytes:
        return _host().finish(radiograph, unpack(self._packed), overlay)


class _EagerLoop(BatchedLoop):
    """Takes all that waits as soon as the worker is free, and sleeps while nothing does."""

    def get_batch_requests(
        self, lit_api: litserve.LitAPI, request_queue: Queue, transport: Any
    ) -> tuple[list[Any], list[Any]]:
        batch = [request_queue.get()]
        with suppress(Empty):
            while len(batch) < lit_api.max_batch_size:
                batch.append(request_queue.get_nowait())
        return [(server, request, payload) for server, request, _, payload in batch], []


class _ScoreAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:
        options = Options.inherited()
        self.networks = Networks(start_workflow(options.kind, options.max_batch))

    def decode_request(self, request: Annotated[Prepared, Depends(_receive)]) -> Prepared:
        return request

    def batch(self, inputs: list[Prepared]) -> list[Prepared]:
        return inputs

    def predict(self, x: list[Prepared]) -> list[Analysis]:
        return self.networks.analyse(x)

    def encode_response(self, output: Analysis) -> Response:
        return _Rendered(output)


def main() -> None:
    """Serves until told to stop."""
    options = Options.from_command_line(__doc__)
    spare_threads()  # the API servers are forks of this one
    api = _ScoreAPI(max_batch_size=options.max_batch, api_path="/score", loop=_EagerLoop())
    # The workflow finds its device by itself; to LitServe it is one device with one worker, whatever it is.
    server = litserve.LitServer(api, accelerator="cpu", timeout=TIMEOUT_SECONDS, healthcheck_path=READY_PATH)
    server.app.user_middleware = [each for each in server.app.user_middleware if each.cls is not GZipMiddleware]
    signal.signal(signal.SIGTERM, _end)
    server.run(
        host=HOST,
        port=options.port,
        num_api_servers=available_cpus(),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


def _end(number: int, frame: FrameType | None) -> None:
    """LitServe ends its processes on Ctrl-C only. Those that it forks inherit this handler, and just go."""
    if os.getpid() == _MAIN_PROCESS:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
