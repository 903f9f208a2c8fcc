"""HTTP on one connection: uvicorn's protocol with bounds on what a client may send unanswered, and on its patience."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import ClassVar, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import HeadersTooLarge, InvalidRequest, Problem
from app.http.linger import Linger
from app.http.problems import MEDIA_TYPE, problem_report

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together; trailers and the framing of chunks likewise."""
MAX_HEADER_FIELDS: Final = 128
"""Each costs Python code on the event loop, however short it is."""
HEAD_SECONDS: Final = 10.0
"""From the connection, or from a request's first byte, to the end of its headers."""
STALLED_SECONDS: Final = 30.0
"""How long a client may leave an answer unread."""
LINGER_SECONDS: Final = 2.0
"""How long a client may go on sending a body after it was answered; a fast one has ``LINGER_ROUNDS`` times as long."""
LINGER_BYTES: Final = 256 * 1024 * 1024
"""And how much: a few times the largest upload."""
NOT_HTTP_BYTES: Final = 1024 * 1024
"""The same where no request came to its body."""


class _Refused(ValueError):
    """Raised into the parser, which then gives up the connection."""


class _Outlet:
    """The connection as an answer has it: ``close`` waits for a client that still sends."""

    def __init__(self, protocol: "BoundedProtocol") -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Sends ``data``, unless the connection is ending."""
        if not self.is_closing():
            self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._protocol.is_ending()

    def close(self) -> None:
        """Ends the connection with this answer, or in its midst where it broke off."""
        self._protocol.finish()


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that send no complete head, do not read their answer, or go on after it, in time.

    Refuses giant heads, trailers and framing of chunks. Uvicorn has a limit for none of these, and a connection costs
    a descriptor and its buffers for as long as it stays.
    """

    head_seconds: ClassVar[float] = HEAD_SECONDS
    stalled_seconds: ClassVar[float] = STALLED_SECONDS
    linger_seconds: ClassVar[float] = LINGER_SECONDS
    linger_bytes: ClassVar[int] = LINGER_BYTES

    _head_timer: asyncio.TimerHandle | None = None
    _stalled_timer: asyncio.TimerHandle | None = None
    _linger: Linger | None = None
    _receiving = False
    _leaving = False
    _head_bytes = 0
    _framing_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        self._unset_stalled()
        self._unset_linger()
        super().connection_lost(exc)
        if self.cycle is not None:
            # No circle of references, which only the collector would find.
            self.cycle.transport = self.transport

    def data_received(self, data: bytes) -> None:
        if self._linger is not None:
            self._linger.count(len(data))
        if self.is_ending():
            return
        self._unset_keepalive_if_required()
        # A header, trailer or chunk's size that does not end is not handed out by the parser.
        self._framing_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._framing_bytes > MAX_HEAD_BYTES:
            self._refuse(_headers_too_large())
        if self._is_idle():
            # Any byte ends uvicorn's patience with a quiet connection, also one that begins no request.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()
        self._head_bytes = self._framing_bytes = 0

    def on_body(self, body: bytes) -> None:
        # Chunks may bring as much around the body again, and the head's allowance.
        self._framing_bytes -= 2 * len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        if self._leaving:
            return
        super().on_response_complete()
        if self._receiving and self.cycle.response_complete and not self.transport.is_closing():
            # Refused before its end: whoever goes on sending has that long to read why, or to come to the end.
            self._begin_linger(self.linger_bytes)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._receiving = False
        self._unset_linger()
        super().on_message_complete()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(max(len(name) + len(value), MAX_HEAD_BYTES // MAX_HEADER_FIELDS))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            # A tunnel to elsewhere; what follows would not be HTTP.
            raise _Refused
        if self.parser.should_upgrade():
            # Comes once more, without the question.
            return
        self._head_arrived()
        self._receiving = True
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", _Outlet(self))

    def is_ending(self) -> bool:
        """Whether nothing more will be sent on this connection."""
        return self._leaving or self.transport.is_closing()

    def finish(self) -> None:
        """Closes the connection; for a client that is still sending, once it has read its answer."""
        if self._receiving or self.pipeline:
            self._leave(self.linger_bytes)
        elif not self._leaving:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP, answered as every other problem."""
        self._refuse(_headers_too_large() if self._head_bytes > MAX_HEAD_BYTES else InvalidRequest(msg))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled_timer is None:
            self._stalled_timer = self.loop.call_later(self.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._unset_stalled()
        super().resume_writing()

    def _parse(self, data: bytes) -> None:
        """Hands out what is in ``data``; raises HttpParserError.

        A request that asks for another protocol is read as though it did not ask (RFC 9110, 7.8): the parser takes
        what comes after such a head for that protocol, so it gets the head once more, without the question.
        """
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                head = self._head_without_upgrade()
                # Not the old one: after `Connection: close` that swallows all that comes.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                rest = rest[upgrade.args[0] :]

    def _head_without_upgrade(self) -> bytes:
        """The head that was just read, as it came but for ``Upgrade``."""
        first = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([first, *fields, b"", b""])

    def _is_idle(self) -> bool:
        """Whether the connection is open, answered, and nothing of a next request is there."""
        answered = self.cycle is not None and self.cycle.response_complete
        return answered and not (self._receiving or self._head_timer or self.pipeline or self.is_ending())

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._head_overdue)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            # A request is still being answered on this connection; the next one's head waits for it.
            self._await_head()
        elif not self.transport.is_closing():
            self.transport.close()

    def _unset_stalled(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _begin_linger(self, max_bytes: int) -> None:
        self._unset_linger()
        self._linger = Linger(self.loop, self.linger_seconds, max_bytes, self.transport.close)

    def _unset_linger(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _leave(self, max_bytes: int) -> None:
        """Says that no more is coming, and drops what the client still sends until it closes, or for a bounded time."""
        if self.is_ending():
            return
        self._leaving = True
        self._head_arrived()
        self._unset_keepalive_if_required()
        self._begin_linger(max_bytes)
        if self.cycle is not None and not self.cycle.response_complete:
            # Nobody will hear the answer that is being made.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()
        with suppress(OSError):  # the client has just reset it
            self.transport.write_eof()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _Refused

    def _refuse(self, problem: Problem) -> None:
        """Answers and closes; nothing of the request reaches the application, so it has no id."""
        if self.is_ending():
            return
        body = problem_report(problem, request_id="").model_dump_json().encode()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._leave(NOT_HTTP_BYTES)


def _headers_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"Expected {MAX_HEADER_FIELDS} headers and {MAX_HEAD_BYTES} bytes of them at most")
