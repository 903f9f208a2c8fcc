"""Limits on a client that goes on sending after it was answered."""

import asyncio
from collections.abc import Callable
from typing import Final

LINGER_BYTES_A_SECOND: Final = 1024 * 1024
"""A client that sends at least this fast gets another round; a slower one gets a single round."""
LINGER_ROUNDS: Final = 15


class Linger:
    """Limits for how long and how much is still read, so that a client that is still sending can read its answer.

    Closing a connection before everything was read resets it, and the client's system then drops what it has received.
    Most clients read only after they have sent everything.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, max_bytes: int, end: Callable[[], None]
    ) -> None:
        """Starts the first round.

        Args:
            loop: runs the timer.
            seconds: length of a round; a fast client gets ``LINGER_ROUNDS`` of them.
            max_bytes: bytes that may come in all rounds together.
            end: called once when a limit is reached; never after ``cancel``.
        """
        self._loop, self._seconds, self._end = loop, seconds, end
        self._bytes_left, self._rounds_left = max_bytes, LINGER_ROUNDS
        self._begin_round()

    def count(self, size: int) -> None:
        """Counts ``size`` received bytes."""
        self._bytes_left -= size
        self._received += size
        if self._bytes_left < 0:
            self.cancel()
            self._end()

    def cancel(self) -> None:
        """Stops the timer, as the client has finished by itself."""
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
