"""A plain FastAPI handler on uvicorn: one request at a time through ``Workflow.analyse``, no batching.

What most services around a network are: the handler awaits the body, everything else happens in worker threads. Only
one of these, always the same, may touch the networks, which stands for the lock that such services have; decoding and
drawing are outside of it, which is as much as a handler can do without a queue. ``--max-batch`` has no effect.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.peers.handling import HOST, JSON, Host, Options
from benchmarks.peers.workflows import start_workflow

READY_PATH = "/health"
SCORE_PATHS = {True: "/score?overlay=true", False: "/score?overlay=false"}
"""Where a radiograph is scored, with the overlay and without."""


def create_app(options: Options) -> FastAPI:
    """Answers ``READY_PATH`` from the moment that the networks are loaded; before that nobody listens."""
    networks = ThreadPoolExecutor(1, thread_name_prefix="networks")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        app.state.workflow = await loop.run_in_executor(
            networks, start_workflow, options.kind, options.max_batch, options.eager
        )
        app.state.host = Host(app.state.workflow)
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get(READY_PATH)
    async def health() -> str:
        return "ok"

    @app.post("/score")
    async def score(request: Request, overlay: bool = True) -> Response:
        host: Host = app.state.host
        upload = await request.body()
        radiograph = await asyncio.to_thread(host.decode, upload)
        analyse = app.state.workflow.analyse
        analysis = await asyncio.get_running_loop().run_in_executor(networks, analyse, radiograph.pixels)
        return Response(await asyncio.to_thread(host.finish, radiograph, analysis, overlay), media_type=JSON)

    return app


def main() -> None:
    """Serves until told to stop."""
    options = Options.from_command_line(__doc__)
    uvicorn.run(create_app(options), host=HOST, port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
