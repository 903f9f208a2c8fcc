"""Ports for servers that take none of their own choice."""

import socket
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]
"""Host and port."""


def free_port() -> int:
    """A port on loopback that nobody listens on and that nobody else is given for a minute.

    A connection to it has just ended at its side. The kernel remembers that for 60 s, and meanwhile chooses the port
    for nobody; who asks for it by number, as a server does with SO_REUSEADDR, gets it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()
    return port
