"""Counts the outcomes of a run and reports them to the user."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from app.client.run import Outcome

SHOWN: Final = 20
"""Files that are listed one by one; the rest are only counted."""


class Tally:
    """How many files had which outcome, and why."""

    def __init__(self) -> None:
        self._codes: dict[str, Counter[str]] = {}
        self._told: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Counts one file."""
        code = (outcome.row or {}).get("error", "")
        self._codes.setdefault(outcome.kind, Counter())[code] += 1
        if outcome.reason:
            # A name may contain anything, even control codes for the terminal.
            name = outcome.name if outcome.name.isprintable() else ascii(outcome.name)
            self._told.append(f"{outcome.kind}: {name}: {outcome.reason}")

    def troubles(self, unscored_before: int) -> Iterator[str]:
        """One line for each file without a score.

        Args:
            unscored_before: number of files that got no score in an earlier run.
        """
        yield from self._told[:SHOWN]
        if len(self._told) > SHOWN:
            yield f"and {len(self._told) - SHOWN} more without a score: see the table"
        if unscored_before:
            yield f"{unscored_before} answered before without a score: see the table"

    def summary(self, before: int) -> Iterator[str]:
        """The counts by outcome; files without a score also by the code of their problem.

        Args:
            before: number of files that were answered in an earlier run.
        """
        counts = [f"{codes.total()} {kind}{_by_code(codes)}" for kind, codes in sorted(self._codes.items())]
        yield f"{', '.join(counts) or 'nothing to send'}; {before} answered before"


def _by_code(codes: Counter[str]) -> str:
    counts = [f"{count} {code}" for code, count in sorted(codes.items()) if code]
    return f" ({', '.join(counts)})" if counts else ""
