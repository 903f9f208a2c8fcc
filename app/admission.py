"""Permits: how many requests may be under way at once."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from prometheus_client import Gauge
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import Overloaded
from app.keys import Key
from app.urgency import is_urgent

RETRY_AFTER = {"Retry-After": "1"}
PIECE_BYTES: Final = 256 * 1024
"""Bytes of an answer handed to the server at once; a client can leave that much unread beyond its socket's buffers."""


class Admission:
    """A fixed number of permits, and some more for urgent requests.

    A request that finds none is refused at once instead of waiting.
    """

    def __init__(self, limit: int, under_way: Gauge) -> None:
        """Creates the permits.

        Args:
            limit: permits for requests that are not urgent.
        """
        self._limit, self._gauge = limit, under_way
        self._under_way = 0
        self._callers: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def permit(self, urgency: int, key: Key) -> Iterator[None]:
        """Holds one permit until exit.

        Raises:
            Overloaded: no permit is free, or the key's caller holds as many as the key allows.
        """
        limit = self._limit + kept_for_urgent(self._limit) if is_urgent(urgency) else self._limit
        if self._under_way >= limit:
            raise Overloaded(f"{limit} requests are in flight already", RETRY_AFTER)
        if key.places is not None and self._callers[key.caller] >= key.places:
            raise Overloaded(f"{key.places} requests of this caller are in flight already", RETRY_AFTER)
        self._change(key.caller, +1)
        try:
            yield
        finally:
            self._change(key.caller, -1)

    async def idle(self) -> None:
        """Waits until no request is under way."""
        await self._idle.wait()

    def _change(self, caller: str, step: int) -> None:
        self._under_way += step
        self._callers[caller] += step
        if not self._callers[caller]:
            del self._callers[caller]
        self._gauge.set(self._under_way)
        if self._under_way:
            self._idle.clear()
        else:
            self._idle.set()


def kept_for_urgent(limit: int) -> int:
    """How many permits there are for urgent requests beyond the ``limit`` for all."""
    return max(1, limit // 8)


class PermittedResponse(Response):
    """An answer that gives its permit back once it is sent or its client has left.

    It is sent in pieces, so that the server waits for a client that reads slowly. The permits thus limit how much all
    slow clients together leave unread.
    """

    def __init__(self, content: bytes, media_type: str, permit: ExitStack) -> None:
        """Takes over an open permit.

        Args:
            permit: closed once the answer is sent.
        """
        super().__init__(content, media_type=media_type)
        self._permit = permit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._permit:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            body = memoryview(self.body)
            for start in range(0, len(body), PIECE_BYTES):
                piece = bytes(body[start : start + PIECE_BYTES])
                more = start + PIECE_BYTES < len(body)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
