"""Ends a run in an orderly way after Ctrl-C or when the system shuts down."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether a run has to end.

    Attributes:
        stop: set when nothing new should be begun, for whatever reason.
        signalled: whether a signal was the reason.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.signalled = False

    def end(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal; the same signal a second time ends the process at once."""
        self.signalled = True
        self.stop.set()
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Makes SIGINT and SIGTERM set ``stop``, so that requests under way are still answered and recorded."""
    interruption = Interruption()
    before = {number: signal.signal(number, interruption.end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
