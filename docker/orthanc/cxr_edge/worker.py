"""Gets the results for each stored radiograph, even if the service or this process dies meanwhile.

Orthanc's own change log is the queue. Each radiograph's status is kept as metadata of its instance: ``pending`` from
when it is found until it is settled, then ``done`` or ``refused:CODE``. The cursor, up to which the log need not be
read again, never passes a pending instance: what the process loses when it dies, it reads again. The service gives the
same UIDs for the same radiograph, so a result that is stored twice is one object.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from secrets import token_hex

import orthanc

from cxr_edge.archive import Archive, Change, Gone, NotDicom
from cxr_edge.delivery import Delivery
from cxr_edge.selection import kind
from cxr_edge.service import Away, Refused, ScoringService, Unanswered
from cxr_edge.settings import Settings
from cxr_edge.waiting import wait_seconds

PENDING, DONE, REFUSED = "pending", "done", "refused"
TRIES = 20
"""For an instance that gets no answer although others do."""

BEHIND_SECONDS = 60.0
"""An edge that has had something to do for longer works off a backlog."""

_LONGEST_RETRY_AFTER_SECONDS = 3600.0
_END_SECONDS = 15.0
_SAVE_EVERY = 100
"""Changes after which the cursor is written to disk."""


class Ending(Exception):
    """Orthanc is stopping."""


@dataclass
class Aside:
    """An instance set aside for a later try, while others go on.

    Attributes:
        tries: how often it was tried.
        unanswered: the tries that failed possibly because of the instance itself.
        due: when to try again, by ``time.monotonic``.
    """

    change: Change
    tries: int = 0
    unanswered: int = 0
    due: float = 0.0


@dataclass
class Worker:
    """The edge's only thread, which handles one radiograph at a time."""

    settings: Settings
    service: ScoringService
    archive: Archive
    delivery: Delivery
    _aside: dict[str, Aside] = field(default_factory=dict)
    _read: int = 0
    _saved: int = 0
    _up_to_date: float = -inf
    """When nothing new was left, by ``time.monotonic``."""
    _news: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, which continues where the previous process ended."""
        self._thread = threading.Thread(target=self._run, name="cxr-edge", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tells the thread that the change log may have grown."""
        self._news.set()

    def stop(self) -> None:
        """Ends the thread; the radiograph under way is dropped and stays pending."""
        self._ending.set()
        self._news.set()
        self.service.close()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._news.clear()
                try:
                    self._catch_up()
                except orthanc.OrthancException as error:
                    # The log cannot be read or the cursor cannot be written, for instance because the disk is full.
                    orthanc.LogError(f"cxr-edge: Orthanc: {error.args[-1]}")
                    self._ending.wait(self.settings.longest_wait_s)
                else:
                    self._news.wait(self._seconds_until_due())
                    self._up_to_date = time.monotonic()
        except Ending:
            pass
        finally:
            if not self._ending.is_set():
                orthanc.LogError("cxr-edge: ended by a fault; radiographs wait until Orthanc is started again")

    def _catch_up(self) -> None:
        """Handles everything that is new and everything that is due."""
        self._saved = max(self._saved, self.archive.cursor())
        self._read = max(self._read, self._saved)
        for change in self._next():
            if self._ending.is_set():
                raise Ending
            self._look_at(change)
            if self._read - self._saved >= _SAVE_EVERY:
                self._save()
        self._save()

    def _is_behind(self) -> bool:
        """Whether what is new comes from a backlog, as after an outage or a restart."""
        return time.monotonic() - self._up_to_date > BEHIND_SECONDS

    def _next(self) -> Iterator[Change]:
        """Yields new changes, and in between the instances set aside that are due."""
        for change in self.archive.changes(self._read):
            yield from self._due()
            self._read = change.sequence
            if change.instance not in self._aside:
                yield change
        yield from self._due()

    def _due(self) -> list[Change]:
        now = time.monotonic()
        return [aside.change for aside in self._aside.values() if aside.due <= now]

    def _seconds_until_due(self) -> float:
        """Seconds until the first instance set aside is due, at most the longest wait."""
        waits = [aside.due - time.monotonic() for aside in self._aside.values()]
        return max(0.0, min([self.settings.longest_wait_s, *waits]))

    def _save(self) -> None:
        pending = [aside.change.sequence - 1 for aside in self._aside.values()]
        if (cursor := min([self._read, *pending])) > self._saved:
            self.archive.save_cursor(cursor)
            self._saved = cursor

    def _look_at(self, change: Change) -> None:
        """Advances one instance as far as possible now."""
        try:
            self._advance(change)
        except Gone:
            self._aside.pop(change.instance, None)
        except Unanswered as error:
            self._set_aside(change, str(error), counted=True)
        except Away as error:
            self._set_aside(change, f"waiting for {error}", counted=False)
        except orthanc.OrthancException as error:
            self._set_aside(change, f"Orthanc: {error.args[-1]}", counted=False)
        else:
            self._aside.pop(change.instance, None)

    def _advance(self, change: Change) -> None:
        status = self.archive.status(change.instance)
        if status not in (None, PENDING) or (status is None and not change.is_new):
            return
        what = kind(self.archive, self.settings, change.instance)
        if what is None:
            if status == PENDING:
                self.archive.set_status(change.instance, f"{REFUSED}:not_wanted")
            return
        if status is None:
            self.archive.set_status(change.instance, PENDING)
        if what == "radiograph":
            self.archive.set_status(change.instance, self._settle(change.instance))
        else:
            self.delivery.deliver(change.instance)
            self.archive.set_status(change.instance, DONE)

    def _set_aside(self, change: Change, reason: str, *, counted: bool) -> None:
        """Sets an instance aside for a later try; gives it up after ``TRIES`` counted tries."""
        aside = self._aside.setdefault(change.instance, Aside(change))
        aside.tries += 1
        aside.unanswered += counted
        if aside.unanswered >= TRIES:
            orthanc.LogWarning(f"cxr-edge: {change.instance}: given up after {TRIES} tries: {reason}")
            with suppress(Gone):
                self.archive.set_status(change.instance, f"{REFUSED}:unanswered")
            del self._aside[change.instance]
            return
        aside.due = time.monotonic() + wait_seconds(aside.tries, self.settings.longest_wait_s)
        if aside.tries == 1:
            orthanc.LogWarning(f"cxr-edge: {change.instance}: tried again later: {reason}")

    def _settle(self, instance: str) -> str:
        """Stores the results of a radiograph into its study; returns its final status.

        Nothing is stored before all results are there, so that nobody sees a study with only some of them.

        Raises:
            Gone: the radiograph was deleted meanwhile.
            Unanswered, Away: there is no result now, but may be later.
            Ending: Orthanc is stopping.
        """
        radiograph, trace_id = self.archive.file(instance), token_hex(16)
        try:
            made = self._ask(radiograph, trace_id, instance in self._aside)
        except Refused as error:
            if self.archive.status(instance) != PENDING:
                raise Gone from None
            orthanc.LogWarning(f"cxr-edge: {instance}: {REFUSED}:{error.code}; trace {trace_id}")
            return f"{REFUSED}:{error.code}"
        if self.archive.status(instance) != PENDING:
            raise Gone
        for dicom in made:
            try:
                self.archive.store(dicom)
            except NotDicom:
                raise Unanswered("what came is no DICOM object") from None
        orthanc.LogInfo(f"cxr-edge: {instance}: {DONE}; trace {trace_id}")
        return DONE

    def _ask(self, radiograph: bytes, trace_id: str, late: bool) -> list[bytes]:
        """Asks the service, and waits while it is away, as other radiographs would get no answer either.

        Args:
            late: it was set aside before, while others went on.

        Raises:
            Unanswered, Refused: as ``ScoringService.ask``.
            Away: after many tries, so that others go first, in case this radiograph makes the service fail.
        """
        tries = 0
        while True:
            try:
                answer = self.service.ask(self.settings.results, radiograph, late or self._is_behind(), trace_id)
            except Away as error:
                if tries == 0 and not self._ending.is_set():
                    orthanc.LogWarning(f"cxr-edge: waiting for {self.settings.url}: {error}")
                tries += 1
                wait = max(
                    wait_seconds(tries, self.settings.longest_wait_s),
                    min(error.retry_after, _LONGEST_RETRY_AFTER_SECONDS),
                )
                if self._ending.wait(wait):
                    raise Ending from None
                if tries >= TRIES:
                    raise
            except Unanswered:
                if self._ending.is_set():
                    raise Ending from None
                raise
            else:
                if tries:
                    orthanc.LogWarning(f"cxr-edge: {self.settings.url} is back")
                return answer
