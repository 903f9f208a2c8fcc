"""How long OpenMP's threads wait awake for each other.

Between two layers of a network each thread of a team waits for the slowest. GNU's OpenMP, which torch brings along, has
them turn in a loop for milliseconds before they sleep, but only for a few microseconds once a process has more team
threads than processors (libgomp, ``config/linux/wait.h``: ``gomp_throttled_spin_count_var``). Awake is right as long as
the network has the processors to itself; beside other work it takes from that what it is waiting for.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_PARALLEL_SIZE = 1 << 16
"""Elements from which torch shares one operation among threads; its grain is half of it."""


class ShortWaits:
    """While held by anyone, a network on the CPU gives up its processors soon when it has to wait.

    A thread with a team of its own, which does nothing else, makes the team threads one too many.
    """

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._holders = 0
        self._end = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """From any thread, as often as wanted at once."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._state:
            self._holders += 1
            if self._holders > 1:
                return
            self._end = threading.Event()
            extra = threading.Thread(target=_own_team, args=(self._end,), name="openmp-extra", daemon=True)
            try:
                extra.start()
            except RuntimeError:
                # No more threads to be had: waits stay long, which costs time and nothing else.
                return

    def _leave(self) -> None:
        with self._state:
            self._holders -= 1
            if not self._holders:
                self._end.set()


def _own_team(end: threading.Event) -> None:
    torch.zeros(_PARALLEL_SIZE)
    end.wait()
