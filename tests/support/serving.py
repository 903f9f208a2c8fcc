"""An application on a real uvicorn in a thread, on loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from app.http.protocol import BoundedProtocol
from tests.support.polling import until
from tests.support.ports import Address


@contextmanager
def serving(application: Any, protocol: type[BoundedProtocol], loop: str = "auto") -> Iterator[Address]:
    """Where ``application`` answers; ended at exit.

    Args:
        protocol: what each connection is read by.
        loop: ``asyncio``, ``uvloop``, or what ``python -m app`` takes.
    """
    with in_a_thread(application, http=protocol, loop=loop) as (_, address):
        yield address


@contextmanager
def in_a_thread(application: Any, **options: Any) -> Iterator[tuple[uvicorn.Server, Address]]:
    """A started server and where it listens; ended at exit.

    Args:
        options: of ``uvicorn.Config``.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, access_log=False, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "its start", pause=0.001)
        assert thread.is_alive(), "it did not start"
        yield server, listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
