"""BentoML: a service with a process a core answers requests and awaits a second one, which batches for the networks.

The two are joined by BentoML's own client (``bentoml.depends``) and its adaptive batching. A request whose predicted
wait is over ``max_latency_ms`` would be refused, so that is as long as a request may take. The front is a mounted
FastAPI application, the framework's way to a raw body with query parameters.

That client starts a new connection pool after each 100 requests and closes the old one over the heads of the requests
that still wait on it, which fail (1.4.39 and 1.4.40): with several clients at once the service does not work without
the limit taken off, for which there is no option.

Log lines and metrics of each request are off; our service writes both.
"""

import asyncio
import math
import os
import sys
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
from fastapi import FastAPI, Request, Response

from benchmarks.peers.crossing import pack, unpack
from benchmarks.peers.handling import HOST, JSON, TIMEOUT_SECONDS, Host, Networks, Options
from benchmarks.peers.workflows import build_outline, spare_threads, start_workflow
from models.runtime.processors import available_cpus

READY_PATH = "/ready"
SCORE_PATHS = {True: "/score?overlay=true", False: "/score?overlay=false"}
"""Where a radiograph is scored, with the overlay and without."""

_OPTIONS = Options.inherited()
_TRAFFIC = {"timeout": TIMEOUT_SECONDS, "max_concurrency": 1024}
_OFF: dict[str, object] = {"enabled": False}
_QUIET: dict[str, object] = {"access": _OFF}
api = FastAPI()


@bentoml.service(name="networks", workers=1, traffic=_TRAFFIC, metrics=_OFF, logging=_QUIET)
class BatchedNetworks:
    """One process with the networks."""

    def __init__(self) -> None:
        self._networks = Networks(start_workflow(_OPTIONS.kind, _OPTIONS.max_batch))

    @bentoml.api(batchable=True, max_batch_size=_OPTIONS.max_batch, max_latency_ms=TIMEOUT_SECONDS * 1000)
    def analyse(self, batch: list[Any]) -> list[Any]:
        """Packed ``Prepared`` to packed ``Analysis``."""
        return [pack(analysis) for analysis in self._networks.analyse([unpack(item) for item in batch])]


@bentoml.service(name="front", workers=available_cpus(), traffic=_TRAFFIC, metrics=_OFF, logging=_QUIET)
@bentoml.asgi_app(api, path="/")
class Front:
    """The requests' own work."""

    networks = bentoml.depends(BatchedNetworks)

    def __init__(self) -> None:
        spare_threads()
        self._host = Host(build_outline(_OPTIONS.kind))
        connections = self.networks.to_async._session_manager
        connections.max_requests, connections.max_age = math.inf, math.inf

    @api.post("/score")
    async def score(self, request: Request, overlay: bool = True) -> Response:
        """One radiograph."""
        upload = await request.body()
        radiograph, prepared = await asyncio.to_thread(self._host.begin, upload)
        (packed,) = await self.networks.to_async.analyse([pack(prepared)])
        body = await asyncio.to_thread(self._host.finish, radiograph, unpack(packed), overlay)
        return Response(body, media_type=JSON)

    @api.get(READY_PATH)
    async def ready(self) -> Response:
        """Answers as soon as the networks do."""
        return Response(status_code=200 if await self.networks.is_ready() else 503)


def main() -> None:
    """Becomes BentoML's own command, which serves until told to stop."""
    options = Options.from_command_line(__doc__)
    serve = [sys.executable, "-m", "bentoml", "serve", "benchmarks.peers.bentoml_peer:Front"]
    address = ["--host", HOST, "--port", str(options.port), "--timeout", str(TIMEOUT_SECONDS)]
    os.execv(sys.executable, [*serve, *address])  # noqa: S606 - so that signals reach it


if __name__ == "__main__":
    main()
