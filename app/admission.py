"""Permits: how many requests may be under way at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from app.errors import Overloaded

RETRY_AFTER = {"Retry-After": "1"}


class Admission:
    """A fixed number of permits; whoever finds none is refused at once instead of waiting."""

    def __init__(self, limit: int, under_way: Gauge) -> None:
        self._limit, self._gauge = limit, under_way
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def permit(self) -> Iterator[None]:
        """One place among the requests under way, given back at exit.

        Raises:
            Overloaded: none is free.
        """
        if self._under_way >= self._limit:
            raise Overloaded(f"{self._limit} requests are in flight already", RETRY_AFTER)
        self._change(+1)
        try:
            yield
        finally:
            self._change(-1)

    async def idle(self) -> None:
        """Waits until nothing is under way."""
        await self._idle.wait()

    def _change(self, step: int) -> None:
        self._under_way += step
        self._gauge.set(self._under_way)
        if self._under_way:
            self._idle.clear()
        else:
            self._idle.set()
