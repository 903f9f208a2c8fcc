"""Bounds on a client that goes on sending after it was answered."""

import asyncio
from collections.abc import Callable
from typing import Final

LINGER_BYTES_A_SECOND: Final = 1024 * 1024
"""Whoever sends as fast may go on; who is slower has one round."""
LINGER_ROUNDS: Final = 15


class Linger:
    """Reads on for a bounded time and size, so that a client that is still sending comes to read its answer.

    A connection that is closed before all was read is reset, and the client's system then drops what it has
    received. Most clients read only after they have sent everything.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, max_bytes: int, end: Callable[[], None]
    ) -> None:
        """Starts the first round.

        Args:
            loop: whose time counts.
            seconds: length of a round; there are ``LINGER_ROUNDS`` for a fast client.
            max_bytes: that may come in all rounds together.
            end: called once when a bound is passed; never after ``cancel``.
        """
        self._loop, self._seconds, self._end = loop, seconds, end
        self._bytes_left, self._rounds_left = max_bytes, LINGER_ROUNDS
        self._begin_round()

    def count(self, size: int) -> None:
        """So many bytes have come."""
        self._bytes_left -= size
        self._received += size
        if self._bytes_left < 0:
            self.cancel()
            self._end()

    def cancel(self) -> None:
        """The client has come to its end by itself."""
        self._timer.cancel()

    def _begin_round(self) -> None:
        self._rounds_left -= 1
        self._received = 0
        self._timer = self._loop.call_later(self._seconds, self._end_round)

    def _end_round(self) -> None:
        if self._rounds_left and self._received >= LINGER_BYTES_A_SECOND * self._seconds:
            self._begin_round()
        else:
            self._end()
