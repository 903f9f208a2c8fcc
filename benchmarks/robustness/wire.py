"""HTTP by hand: one connection, bytes as they are wanted, and what comes back."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.ports import Address

LEFT: Final = "left"
"""The outcome of a client that leaves before it is answered."""
CLOSED: Final = "closed"
"""The service broke the connection without an answer."""
SILENT: Final = "silent"
"""Neither an answer nor a broken connection within ``PATIENCE``; never in order."""
PATIENCE: Final = 30.0


@dataclass
class Wire:
    """One connection to the service."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Raises ConnectionError where the service has closed."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> str:
        """``"200"``, ``"504 deadline_exceeded"`` for a problem, ``CLOSED`` or ``SILENT``."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer()
        except (ConnectionError, asyncio.IncompleteReadError):
            return CLOSED
        except TimeoutError:
            return SILENT

    async def _answer(self) -> str:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        first, *lines = head.strip().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        status = first.split()[1]
        body = await self.reader.readexactly(int(fields["content-length"]))
        is_problem = fields.get("content-type") == "application/problem+json"
        return f"{status} {json.loads(body)['code']}" if is_problem else status


@asynccontextmanager
async def connected(address: Address, receive_buffer: int = 0) -> AsyncIterator[Wire]:
    """A connection, closed at exit.

    Args:
        receive_buffer: bytes that the kernel keeps for this client; 0: its own choice.
    """
    end = socket.socket()
    end.setblocking(False)
    if receive_buffer:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(end, address)
    reader, writer = await asyncio.open_connection(sock=end)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def head(path: str = "/score?overlay=false", method: str = "POST", **fields: object) -> bytes:
    """A request's first lines; names of header fields with _ for -."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def request(body: bytes, path: str = "/score?overlay=false", **fields: str) -> bytes:
    """A whole POST."""
    return head(path, "POST", Content_Length=len(body), **fields) + body
