"""An application on a real uvicorn in a thread, on loopback."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import uvicorn

from app.http.protocol import BoundedProtocol

Address: TypeAlias = tuple[str, int]
START_SECONDS = 60.0


@contextmanager
def serving(application: Any, protocol: type[BoundedProtocol], loop: str = "auto") -> Iterator[Address]:
    """Where ``application`` answers; ended at exit.

    Args:
        protocol: what each connection is read by.
        loop: ``asyncio``, ``uvloop``, or what ``python -m app`` takes.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, http=protocol, loop=loop, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline, "it did not start"
            time.sleep(0.001)
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
