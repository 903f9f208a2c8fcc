"""Something else than the service at the address that the edge asks."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PROBLEM = "application/problem+json"


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Its URL; each connection gets what ``answer`` does, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # shut down
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def says(status: str, media_type: str = "text/html", body: str = "", *headers: str) -> Callable[[socket.socket], None]:
    """The same answer to everything."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *headers, "", body]

    def answer(connection: socket.socket) -> None:
        _read(connection)
        connection.sendall("\r\n".join(lines).encode())

    return answer


def _read(connection: socket.socket) -> None:
    """A whole request: closing with something unread would take the answer away from the other side."""
    length = 0
    with connection.makefile("rb") as request:
        while line := request.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        request.read(length)
