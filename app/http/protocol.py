"""HTTP on one connection: uvicorn's protocol, with limits on what a client may send and how long it may take."""

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
"""For the request line and headers together; the same for trailers and the framing of chunks."""
MAX_HEADER_FIELDS: Final = 128
"""Each takes time in Python on the event loop, however short it is."""
HEAD_SECONDS: Final = 10.0
"""From the connection, or from a request's first byte, to the end of its headers."""
STALLED_SECONDS: Final = 30.0
"""How long a client may leave an answer unread."""
LINGER_SECONDS: Final = 2.0
"""How long a client may go on sending a body after it was answered; a fast one has ``LINGER_ROUNDS`` times as long."""
LINGER_BYTES: Final = 256 * 1024 * 1024
"""How much it may still send: a few times the largest upload."""
NOT_HTTP_BYTES: Final = 1024 * 1024
"""The same after a refusal of what is not HTTP or has too large headers."""


class _Refused(ValueError):
    """Raised in the parser's callbacks; makes the parser fail."""


class _Outlet:
    """The transport that an answer is written to; its ``close`` waits for a client that still sends."""

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
        """Ends the connection after this answer, or in the middle of an answer that failed."""
        self._protocol.finish()


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that take too long to send a head or to read an answer, or go on sending after it.

    Refuses huge heads, trailers and framing of chunks. Uvicorn limits none of these, and a connection costs a file
    descriptor and its buffers for as long as it is open.
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
            # Breaks a cycle of references, which only the garbage collector would find.
            self.cycle.transport = self.transport

    def data_received(self, data: bytes) -> None:
        if self._linger is not None:
            self._linger.count(len(data))
        if self.is_ending():
            return
        self._unset_keepalive_if_required()
        # The parser reports a header, a trailer or a chunk's size only at its end: an endless one is counted here.
        self._framing_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._framing_bytes > MAX_HEAD_BYTES:
            self._refuse(_headers_too_large())
        if self._is_idle():
            # Any byte stops uvicorn's keep-alive timer, even one that begins no request.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()
        self._head_bytes = self._framing_bytes = 0

    def on_body(self, body: bytes) -> None:
        # The framing of chunks may be as long as the body itself, plus MAX_HEAD_BYTES.
        self._framing_bytes -= 2 * len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        if self._leaving:
            return
        super().on_response_complete()
        if self._receiving and self.cycle.response_complete and not self.transport.is_closing():
            # Answered before the request's end: a client that still sends has this long to finish or read the answer.
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
            # A request for a tunnel to elsewhere; what follows would not be HTTP.
            raise _Refused
        if self.parser.should_upgrade():
            # The parser gets this head once more, without `Upgrade`: see _parse.
            return
        self._head_arrived()
        self._receiving = True
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", _Outlet(self))

    def is_ending(self) -> bool:
        """Whether nothing more will be sent on this connection."""
        return self._leaving or self.transport.is_closing()

    def finish(self) -> None:
        """Closes the connection; a client that is still sending gets time to read its answer first."""
        if self._receiving or self.pipeline:
            self._leave(self.linger_bytes)
        elif not self._leaving:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP with a problem, as for every other error."""
        self._refuse(_headers_too_large() if self._head_bytes > MAX_HEAD_BYTES else InvalidRequest(msg))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled_timer is None:
            self._stalled_timer = self.loop.call_later(self.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._unset_stalled()
        super().resume_writing()

    def _parse(self, data: bytes) -> None:
        """Parses ``data``; raises HttpParserError.

        A request to upgrade to another protocol is read as if it did not ask (RFC 9110, 7.8). The parser would take
        all that follows such a head for the other protocol, so it gets the head once more, without ``Upgrade``.
        """
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                head = self._head_without_upgrade()
                # A new parser: after `Connection: close` the old one ignores all that follows.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                rest = rest[upgrade.args[0] :]

    def _head_without_upgrade(self) -> bytes:
        """The head that was just read, without ``Upgrade``."""
        first = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([first, *fields, b"", b""])

    def _is_idle(self) -> bool:
        """Whether the connection is open, its last request is answered, and no byte of another has come."""
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
        """Ends our side of the connection; drops what the client still sends until it closes or reaches a limit."""
        if self.is_ending():
            return
        self._leaving = True
        self._head_arrived()
        self._unset_keepalive_if_required()
        self._begin_linger(max_bytes)
        if self.cycle is not None and not self.cycle.response_complete:
            # Nobody will receive the answer that is being prepared.
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
        """Answers ``problem`` and closes. The application never sees the request, so it has no id."""
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
