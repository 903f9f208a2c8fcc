"""An end that is asked for from outside: Ctrl-C, or a system that shuts down."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Attributes:
    stop: set when no more should be begun, for whatever reason.
    signalled: whether that was asked for from outside.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.signalled = False

    def end(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal; the same one once more ends the process at once."""
        self.signalled = True
        self.stop.set()
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """SIGINT and SIGTERM set ``stop``, so that what is under way is still answered and written down."""
    interruption = Interruption()
    before = {number: signal.signal(number, interruption.end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
