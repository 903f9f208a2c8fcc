"""Two queues, one for each stage, from which the device threads take batches."""

import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeAlias

from app.urgency import Turn
from models.pixels import ProbabilityMap
from models.runtime.engine import StageInput
from models.weights.cards import Role

StageName: TypeAlias = Role
STAGE_NAMES: tuple[StageName, ...] = ("lungs", "disease")


@dataclass(frozen=True, slots=True, eq=False)
class StageOutput:
    """The output of one stage for one picture.

    Attributes:
        map: float32 [h, w] of probabilities.
        label: output of the classification head; None without one.
        waited, ran: seconds in the queue, and seconds that the batch took.
    """

    map: ProbabilityMap
    label: float | None
    waited: float
    ran: float


@dataclass(slots=True, eq=False)
class Task:
    """One picture that waits for one stage.

    Attributes:
        deliver: called in a device thread with the answer or the error; only the first call counts.
        turn: its request's place among all that wait.
        alone: it may use the whole device: no other radiograph was under way when it came, or none that matters.
        abandoned: set when the requester no longer waits; read when a batch forms.
    """

    stage: StageName
    image: StageInput
    deliver: Callable[[StageOutput | Exception], None]
    turn: Turn
    alone: bool = False
    queued: float = field(default=0.0)
    abandoned: bool = False


class QueuesClosed(RuntimeError):
    """The device takes no more work."""


class StageQueues:
    """Thread-safe queues of both stages and the rule that picks the next batch.

    The picture whose turn is lowest decides which stage is next, and fills its batch with those that follow in the same
    stage. Among requests of one urgency stage II thus goes first, as the older ones wait for it; finishing a radiograph
    frees its memory. While the device is busy, pictures gather without a timer.
    """

    def __init__(
        self,
        max_batch_size: int,
        max_wait: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Creates empty queues.

        Args:
            max_batch_size: of each stage, until ``shrink`` lowers it.
            max_wait: seconds after its first arrival for which a batch that is not full is held back.
        """
        self._max_wait, self._clock = max_wait, clock
        self._changed = threading.Condition()
        self._waiting: dict[StageName, list[Task]] = {stage: [] for stage in STAGE_NAMES}
        """By turn; those of one turn in the order in which they came."""
        self._capacity: dict[StageName, int] = dict.fromkeys(STAGE_NAMES, max_batch_size)
        self._again: deque[tuple[StageName, list[Task]]] = deque()
        self._expected: list[Turn] = []
        self._closed = False

    def put(self, task: Task) -> None:
        """Queues a task; raises QueuesClosed after ``close``."""
        with self._changed:
            if self._closed:
                raise QueuesClosed("the device takes no more work")
            task.queued = self._clock()
            insort(self._waiting[task.stage], task, key=attrgetter("turn"))
            self._changed.notify()

    @contextmanager
    def expect(self, turn: Turn) -> Iterator[None]:
        """Holds back, until exit, what is not urgent and has a later turn than an urgent request that is under way.

        A run cannot be interrupted: one that began while the urgent request was between two stages would delay it.
        """
        if not turn.urgent:
            yield
            return
        with self._changed:
            insort(self._expected, turn)
        try:
            yield
        finally:
            with self._changed:
                self._expected.remove(turn)
                self._changed.notify()

    def put_again(self, stage: StageName, tasks: Sequence[Task], size: int) -> None:
        """Queues a failed batch again, before all else, in parts of at most ``size``."""
        with self._changed:
            parts = [list(tasks[first : first + size]) for first in range(0, len(tasks), size)]
            self._again.extendleft((stage, part) for part in reversed(parts))
            self._changed.notify()

    def take(self) -> tuple[StageName, list[Task]] | None:
        """Waits for work and takes the next batch; None once closed and empty."""
        with self._changed:
            while True:
                self._drop_abandoned()
                if self._again:
                    return self._take_again()
                stage = self._next_stage()
                if stage is None:
                    if self._closed:
                        return None
                    self._changed.wait()
                elif self._must_give_way(self._waiting[stage][0].turn):
                    self._changed.wait()
                elif (left := self._held_back(stage)) > 0:
                    self._changed.wait(left)
                else:
                    return stage, self._take_first(stage)

    def close(self) -> None:
        """Accepts no more tasks; those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> list[Task]:
        """Accepts no more tasks; removes and returns those that wait."""
        with self._changed:
            self._closed = True
            left = [task for _, part in self._again for task in part]
            left += [task for waiting in self._waiting.values() for task in waiting]
            self._again.clear()
            for waiting in self._waiting.values():
                waiting.clear()
            self._changed.notify_all()
            return left

    def shrink(self, stage: StageName, size: int) -> None:
        """Limits batches of ``stage`` to ``size`` from now on."""
        with self._changed:
            self._capacity[stage] = max(1, min(self._capacity[stage], size))

    def depth(self, stage: StageName) -> int:
        """How many tasks wait for a stage."""
        with self._changed:
            return len(self._waiting[stage])

    def capacity(self, stage: StageName) -> int:
        """The current limit on batches of a stage."""
        with self._changed:
            return self._capacity[stage]

    def _next_stage(self) -> StageName | None:
        lungs, disease = self._waiting["lungs"], self._waiting["disease"]
        if not lungs or not disease:
            return "lungs" if lungs else "disease" if disease else None
        return "lungs" if lungs[0].turn < disease[0].turn else "disease"

    def _must_give_way(self, turn: Turn) -> bool:
        """Whether an urgent request with an earlier turn is under way elsewhere."""
        return not turn.urgent and not self._closed and bool(self._expected) and self._expected[0] < turn

    def _take_first(self, stage: StageName) -> list[Task]:
        waiting, size = self._waiting[stage], self._capacity[stage]
        self._waiting[stage] = waiting[size:]
        return waiting[:size]

    def _held_back(self, stage: StageName) -> float:
        """Seconds for which the stage's next batch is still held back to gather."""
        waiting = self._waiting[stage]
        if self._closed or not self._max_wait or len(waiting) >= self._capacity[stage]:
            return 0.0
        return min(task.queued for task in waiting) + self._max_wait - self._clock()

    def _take_again(self) -> tuple[StageName, list[Task]]:
        stage, tasks = self._again.popleft()
        size = self._capacity[stage]
        if len(tasks) > size:
            self._again.appendleft((stage, tasks[size:]))
        return stage, tasks[:size]

    def _drop_abandoned(self) -> None:
        if self._again:
            parts = ((stage, [task for task in tasks if not task.abandoned]) for stage, tasks in self._again)
            self._again = deque((stage, tasks) for stage, tasks in parts if tasks)
        for stage, waiting in self._waiting.items():
            if any(task.abandoned for task in waiting):
                self._waiting[stage] = [task for task in waiting if not task.abandoned]
