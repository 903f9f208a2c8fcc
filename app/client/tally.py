"""What came of a run, counted, and told to people."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from app.client.run import Outcome

SHOWN: Final = 20
"""Files that are told one by one; the rest is counted."""


class Tally:
    """How many files came to which end, and why."""

    def __init__(self) -> None:
        self._codes: dict[str, Counter[str]] = {}
        self._told: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Counts one file."""
        code = (outcome.row or {}).get("error", "")
        self._codes.setdefault(outcome.kind, Counter())[code] += 1
        if outcome.reason:
            # A name may hold anything, codes that steer a terminal too.
            name = outcome.name if outcome.name.isprintable() else ascii(outcome.name)
            self._told.append(f"{outcome.kind}: {name}: {outcome.reason}")

    def troubles(self, unscored_before: int) -> Iterator[str]:
        """A line each for what got no score.

        Args:
            unscored_before: files that an earlier run got no score for.
        """
        yield from self._told[:SHOWN]
        if len(self._told) > SHOWN:
            yield f"and {len(self._told) - SHOWN} more without a score: see the table"
        if unscored_before:
            yield f"{unscored_before} answered before without a score: see the table"

    def summary(self, before: int) -> Iterator[str]:
        """Counts, those without a score by the code of their problem.

        Args:
            before: files that an earlier run had the answers of.
        """
        counts = [f"{codes.total()} {kind}{_by_code(codes)}" for kind, codes in sorted(self._codes.items())]
        yield f"{', '.join(counts) or 'nothing to send'}; {before} answered before"


def _by_code(codes: Counter[str]) -> str:
    counts = [f"{count} {code}" for code, count in sorted(codes.items()) if code]
    return f" ({', '.join(counts)})" if counts else ""
