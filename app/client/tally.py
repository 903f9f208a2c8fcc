"""What came of a run, counted, and told to people."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from app.client.run import Outcome

SHOWN: Final = 20
"""Files that are told one by one; the rest is counted."""


class Tally:
    """Attributes:
    kinds: how many files came to which end.
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self._told: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Counts one file."""
        self.kinds[outcome.kind] += 1
        if outcome.reason:
            # A name may hold anything, codes that steer a terminal too.
            name = outcome.name if outcome.name.isprintable() else ascii(outcome.name)
            self._told.append(f"{outcome.kind}: {name}: {outcome.reason}")

    def troubles(self) -> Iterator[str]:
        """A line each for what got no score."""
        yield from self._told[:SHOWN]
        if len(self._told) > SHOWN:
            yield f"and {len(self._told) - SHOWN} more without a score: see the table"

    def summary(self, before: int) -> Iterator[str]:
        """Counts.

        Args:
            before: files that an earlier run had the answers of.
        """
        counts = [f"{count} {kind}" for kind, count in sorted(self.kinds.items())]
        yield f"{', '.join(counts) or 'nothing to send'}; {before} answered before"
