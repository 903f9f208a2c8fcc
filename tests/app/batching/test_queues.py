import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.batching import QueuesClosed, StageName, StageQueues, Task
from app.batching.queues import STAGE_NAMES
from app.urgency import AGEING_SECONDS, DEFAULT, FIRST, LAST, Turn, turn_of
from tests.support.polling import until

IMAGE = np.zeros((1, 1), np.uint8)


class Clock:
    """Time that only the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def task(stage: StageName, deliver: Callable[[object], None] = lambda _: None) -> Task:
    return Task(stage, IMAGE, deliver, Turn(0.0))


def fill(queues: StageQueues, *stages: StageName) -> list[Task]:
    tasks = [task(stage) for stage in stages]
    for item in tasks:
        queues.put(item)
    return tasks


def test_what_has_gathered_goes_in_order_and_up_to_the_limit() -> None:
    queues = StageQueues(max_batch_size=3)
    tasks = fill(queues, *["lungs"] * 5)
    assert queues.take() == ("lungs", tasks[:3])
    assert queues.take() == ("lungs", tasks[3:])


def test_of_one_turn_stage_two_goes_first() -> None:
    queues = StageQueues(max_batch_size=4)
    lungs, disease = fill(queues, "lungs", "disease")
    assert queues.take() == ("disease", [disease])
    assert queues.take() == ("lungs", [lungs])


@given(st.lists(st.tuples(st.sampled_from(STAGE_NAMES), st.integers(0, 5)), min_size=1), st.integers(1, 4))
def test_the_lowest_turn_goes_first_and_equal_ones_as_they_came(
    arrivals: list[tuple[StageName, int]], size: int
) -> None:
    queues = StageQueues(size)
    tasks = [Task(stage, IMAGE, lambda _: None, Turn(place)) for stage, place in arrivals]
    for item in tasks:
        queues.put(item)
    left = list(tasks)
    while left:
        stage, batch = queues.take() or ("lungs", [])
        lowest = min(item.turn for item in left)
        assert batch[0].turn == lowest
        of_stage = sorted((item for item in left if item.stage == stage), key=lambda item: item.turn)
        assert batch == of_stage[:size]
        if stage == "lungs":
            assert not any(item.stage == "disease" and item.turn == lowest for item in left)
        left = [item for item in left if item not in batch]


@given(st.integers(FIRST, LAST), st.integers(FIRST, LAST), st.floats(0.05, 1.0), st.sampled_from(STAGE_NAMES))
def test_nobody_starves_beside_a_stream_that_takes_all(mine: int, others: int, step: float, stage: StageName) -> None:
    """For each picture that is taken another one comes, of whatever urgency."""
    clock = Clock()
    queues = StageQueues(max_batch_size=1, clock=clock)
    waiting = Task(stage, IMAGE, lambda _: None, turn_of(mine, clock()))
    queues.put(Task("disease", IMAGE, lambda _: None, turn_of(others, clock())))
    queues.put(waiting)
    taken: list[Task] = []
    while waiting not in taken:
        _, taken = queues.take() or ("", [])
        clock.now += step
        queues.put(Task("disease", IMAGE, lambda _: None, turn_of(others, clock())))
    assert clock.now <= max(0, mine - others) * AGEING_SECONDS + 2 * step


def test_bulk_gives_way_to_an_urgent_request_that_is_between_two_stages() -> None:
    queues = StageQueues(max_batch_size=1)
    taken: list[Task] = []

    def take_all() -> None:
        while (batch := queues.take()) is not None:
            taken.extend(batch[1])

    urgent, bulk = turn_of(FIRST, 0.0), turn_of(LAST, 0.0)
    thread = threading.Thread(target=take_all)
    with queues.expect(urgent):
        first, others = (Task("disease", IMAGE, lambda _: None, turn) for turn in (urgent, bulk))
        queues.put(others)
        thread.start()
        queues.put(first)
        until(lambda: taken == [first], "the urgent one alone")
        assert queues.depth("disease") == 1
        # What is urgent too, or has waited for long enough, does not give way.
        for turn in (turn_of(2, 1.0), turn_of(DEFAULT, -100.0)):
            queues.put(Task("lungs", IMAGE, lambda _: None, turn))
        until(lambda: len(taken) == 3, "both of them")
    until(lambda: len(taken) == 4, "bulk")
    assert taken[-1] is others
    queues.close()
    thread.join(5)


def test_what_is_not_urgent_holds_nobody_back() -> None:
    queues = StageQueues(max_batch_size=1)
    with queues.expect(turn_of(DEFAULT, 0.0)):
        (waiting,) = fill(queues, "lungs")
        assert queues.take() == ("lungs", [waiting])


def test_at_the_end_nothing_is_held_back() -> None:
    queues = StageQueues(max_batch_size=1)
    with queues.expect(turn_of(FIRST, 0.0)):
        bulk = Task("lungs", IMAGE, lambda _: None, turn_of(LAST, 0.0))
        queues.put(bulk)
        queues.close()
        assert queues.take() == ("lungs", [bulk])


def test_the_abandoned_are_dropped_when_a_batch_forms() -> None:
    queues = StageQueues(max_batch_size=4)
    first, second, third = fill(queues, "lungs", "lungs", "lungs")
    first.abandoned = third.abandoned = True
    assert queues.take() == ("lungs", [second])
    assert queues.depth("lungs") == 0


def test_a_set_wait_counts_from_the_first_arrival_and_ends_when_full() -> None:
    clock = Clock()
    queues = StageQueues(max_batch_size=2, max_wait=10.0, clock=clock)
    taken: list[object] = []
    started = threading.Event()

    def take() -> None:
        started.set()
        taken.append(queues.take())

    thread = threading.Thread(target=take)
    first = fill(queues, "lungs")
    thread.start()
    started.wait()
    assert not taken
    second = fill(queues, "lungs")
    thread.join(5)
    assert taken == [("lungs", first + second)]
    alone = fill(queues, "lungs")
    clock.now = 10.0
    assert queues.take() == ("lungs", alone)


def test_take_waits_for_work_and_ends_after_close() -> None:
    queues = StageQueues(max_batch_size=2)
    taken: list[object] = []

    def take_all() -> None:
        while (batch := queues.take()) is not None:
            taken.append(batch)

    thread = threading.Thread(target=take_all)
    thread.start()
    (only,) = fill(queues, "disease")
    queues.close()
    thread.join(5)
    assert not thread.is_alive()
    assert taken == [("disease", [only])]
    with pytest.raises(QueuesClosed):
        fill(queues, "lungs")


def test_a_size_that_fits_is_remembered_for_its_stage_only() -> None:
    queues = StageQueues(max_batch_size=8)
    queues.shrink("disease", 3)
    queues.shrink("disease", 5)
    assert (queues.capacity("disease"), queues.capacity("lungs")) == (3, 8)
    queues.shrink("disease", 0)
    assert queues.capacity("disease") == 1


def test_what_failed_goes_first_in_parts_that_fit() -> None:
    queues = StageQueues(max_batch_size=8)
    tasks = fill(queues, *["lungs"] * 6)
    waiting = fill(queues, "disease")
    stage, batch = queues.take() or ("", [])
    assert (stage, batch) == ("disease", waiting)
    stage, batch = queues.take() or ("", [])
    queues.put_again("lungs", batch, 3)
    queues.shrink("lungs", 2)
    tasks[3].abandoned = True
    fill(queues, "disease")
    taken = [(queues.take() or ("", []))[1] for _ in range(3)]
    assert taken == [tasks[:2], tasks[2:3], tasks[4:]]


def test_abort_lets_go_of_all_that_waits() -> None:
    queues = StageQueues(max_batch_size=8)
    again = [task("lungs"), task("lungs")]
    queues.put_again("lungs", again, 1)
    waiting = fill(queues, "lungs", "disease")
    assert set(queues.abort()) == {*again, *waiting}
    assert queues.take() is None
    with pytest.raises(QueuesClosed):
        fill(queues, "lungs")
