"""How long to wait before the next try."""

from random import SystemRandom

_FIRST_SECONDS = 1.0
_MOST_DOUBLINGS = 20


def wait_seconds(tries: int, longest_s: float) -> float:
    """Seconds to wait, doubled with each try up to ``longest_s``.

    A random part is subtracted, so that several edges do not ask at the same times.
    """
    longest = min(_FIRST_SECONDS * 2.0 ** min(tries - 1, _MOST_DOUBLINGS), longest_s)
    return longest * SystemRandom().uniform(0.5, 1.0)
