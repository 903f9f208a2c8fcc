"""Sends a folder to the service, a few requests at a time; each answer becomes a row."""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from app.client.answers import pictures_of, refused_row, report_of, scored_row, unsent_row
from app.client.folder import NotSent, is_dicom, read_radiograph
from app.client.reports import included, place_of, results_of
from app.client.sending import Sender, Unanswered

Kind = Literal["scored", "unscorable", "refused", "not sent", "unanswered"]


@dataclass(frozen=True)
class Outcome:
    """The outcome for one file.

    Attributes:
        name: relative to the folder.
        row: cells of the table, without the names; None where there was no answer.
        reason: why there was no answer, or no score.
    """

    name: str
    kind: Kind
    row: dict[str, str] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Folder:
    """Where radiographs come from, and where masks, overlays and reports go.

    Attributes:
        masks, overlays, reports: folders; None where they are not wanted. With reports, requests go to ``/reports``.
    """

    path: Path
    masks: Path | None = None
    overlays: Path | None = None
    reports: Path | None = None

    @property
    def results(self) -> list[Path]:
        """The folders that are written to."""
        return [place for place in (self.masks, self.overlays, self.reports) if place]


class Run:
    """Sends files from a few threads, and hands the outcomes to the one thread that iterates over them.

    Once ``stop`` is set, no further file is begun and waits end; requests under way are still answered.
    """

    def __init__(self, folder: Folder, names: Sequence[str], sender: Sender, stop: threading.Event) -> None:
        """Prepares the run; ``outcomes`` starts it.

        Args:
            names: relative to the folder, in the order in which they are sent.
        """
        self._folder, self._names, self._sender, self._stop = folder, iter(names), sender, stop

    def outcomes(self, concurrency: int) -> Iterator[Outcome]:
        """The outcome for each file, in the order in which they become known.

        Raises:
            Stopped, NotTheService, OSError: no further file can be answered; raised after the outcomes of those under
                way.
        """
        fault: BaseException | None = None
        under_way: set[Future[Outcome]] = set()
        with ThreadPoolExecutor(concurrency) as pool:
            try:
                while self._begin(pool, under_way, concurrency):
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        if (error := future.exception()) is None:
                            yield future.result()
                        else:
                            fault = fault or error
                            self._stop.set()
            finally:
                self._stop.set()
        if fault is not None:
            raise fault

    def _begin(self, pool: ThreadPoolExecutor, under_way: set[Future[Outcome]], concurrency: int) -> bool:
        """Submits files up to ``concurrency``; returns whether any is under way."""
        while len(under_way) < concurrency and not self._stop.is_set():
            name = next(self._names, None)
            if name is None:
                break
            under_way.add(pool.submit(self._handle, name))
        return bool(under_way)

    def _handle(self, name: str) -> Outcome:
        try:
            radiograph = read_radiograph(self._folder.path / name)
        except NotSent as error:
            return Outcome(name, "not sent", unsent_row(error.code, str(error)), f"{error.code}: {error}")
        try:
            answer = self._sender.ask(radiograph, included(is_dicom(radiograph)) if self._folder.reports else None)
        except Unanswered as error:
            return Outcome(name, "unanswered", reason=str(error))
        return self._outcome(name, answer, radiograph)

    def _outcome(self, name: str, answer: httpx.Response, radiograph: bytes) -> Outcome:
        status, sha256 = {"status": str(answer.status_code)}, hashlib.sha256(radiograph).hexdigest()
        if not answer.is_success:
            row = refused_row(answer, sha256) | status
            return Outcome(name, "refused", row, f"{row['error']}: {row['detail']}".removesuffix(": "))
        report, files = self._read(name, answer, is_dicom(radiograph))
        row = scored_row(report, sha256) | status
        # Before the row is written, as a file with a row is not sent again.
        for path, content in files.items():
            _write(path, content)
        return Outcome(name, "scored", row) if row["score"] else Outcome(name, "unscorable", row, row["flags"])

    def _read(self, name: str, answer: httpx.Response, dicom: bool) -> tuple[dict[str, Any], dict[Path, bytes]]:
        """The JSON object in an answer, and what is to be kept besides, by path."""
        if self._folder.reports:
            report, results = results_of(answer, dicom)
            place = self._folder.reports / place_of(name)
            return report, {place / file: content for file, content in results.items()}
        report = report_of(answer)
        files = {}
        for ending, picture in pictures_of(report).items():
            folder = self._folder.overlays if ending.startswith(".overlay") else self._folder.masks
            if folder:
                files[folder / (name + ending)] = picture
        return report, files


def _write(path: Path, content: bytes) -> None:
    """Writes a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
