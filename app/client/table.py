"""The table of results, with one row for each file. An interruption leaves no broken row behind."""

import csv
import io
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

PUBLISHED: Final = ("dataset", "filename", "score", *(f"lung_segment_{number}" for number in range(1, 7)))
"""Columns of the tables published with Danilov et al. (Sci Rep 12:12791).

Segments 1..3 are the lower, middle and upper zone of the lung on the picture's left, 4..6 those of the other lung.
"""
COLUMNS: Final = (
    *PUBLISHED,
    "pred_time",
    "scorable",
    "flags",
    "status",
    "error",
    "detail",
    "threshold",
    "margin",
    "diseased_share",
    "disease_probability",
    "format",
    "width",
    "height",
    "sha256",
    "lungs_sha256",
    "disease_sha256",
    "service",
    "request_id",
)
Row = Mapping[str, str]
_QUOTE_OR_END: Final = re.compile(rb'["\n]')


class TableError(Exception):
    """The file is not a table of this program, or another run is writing it."""


class Table:
    """An open CSV file to which whole rows are added.

    A row is written by one call and handed to the operating system at once. A partial row from an interrupted run is
    removed when the file is next opened.

    Attributes:
        scored: for every file that has a row, by (dataset, filename): whether the row has a score.
        models: the pairs of networks, with thresholds, that gave the scores.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates the file.

        Raises:
            TableError: it has other columns, or is being written by another run.
            OSError: it cannot be opened.
        """
        self.path = path
        self.scored: dict[tuple[str, str], bool] = {}
        self.models: set[tuple[str, str, str]] = set()
        with ExitStack() as opened:
            self._file: BinaryIO = opened.enter_context(path.open("a+b"))
            _lock(self._file)
            self._take_up()
            opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """Writes one row; columns that it lacks stay empty."""
        self._write([row.get(column, "") for column in COLUMNS])
        self._remember(row)

    def _take_up(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = whole_length(data)
        header = ",".join(COLUMNS).encode()
        if not (data[:whole].partition(b"\n")[0] == header if whole else (header + b"\n").startswith(data)):
            raise TableError(f"{self.path} is not a table of this program: its first line has other columns")
        self._file.truncate(whole)
        if not whole:
            self._write(list(COLUMNS))
        text = data[:whole].decode(errors="surrogateescape")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            self._remember(row)

    def _write(self, cells: list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        # File names are bytes: those that are not UTF-8 are written unchanged.
        self._file.write(line.getvalue().encode(errors="surrogateescape"))
        self._file.flush()

    def _remember(self, row: Row) -> None:
        scored = bool(row.get("score"))
        self.scored[row.get("dataset", ""), row.get("filename", "")] = scored
        if scored:
            self.models.add((row["lungs_sha256"], row["disease_sha256"], row["threshold"]))


def whole_length(table: bytes) -> int:
    """How many bytes of a CSV file are whole rows: up to the last line end outside quotes."""
    quoted, end = False, 0
    for match in _QUOTE_OR_END.finditer(table):
        if match[0] == b'"':
            quoted = not quoted
        elif not quoted:
            end = match.end()
    return end


def _lock(file: BinaryIO) -> None:
    """Locks the file until it is closed or the process ends; raises TableError where another run has locked it."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TableError(f"{file.name} is being written by another run") from None
