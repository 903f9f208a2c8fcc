"""Waiting for what happens elsewhere."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], what: str, seconds: float = 60.0, pause: float = 0.01) -> float:
    """Polls until something holds; the seconds that took.

    Args:
        what: it is, for whoever reads of the failure.

    Raises:
        TimeoutError: it did not hold within ``seconds``.
    """
    started = time.monotonic()
    while not holds():
        if time.monotonic() > started + seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
    return time.monotonic() - started
