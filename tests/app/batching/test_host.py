"""The host pool with work that blocks on events."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.batching.host import HostPool

THREADS, BESIDE = 3, 1


class Work:
    """Stands at a gate until it is let through."""

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()

    def __call__(self) -> "Work":
        self.begun.set()
        assert self.gate.wait(30)
        return self

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 30)


@pytest.fixture
async def pool() -> AsyncIterator[HostPool]:
    made = HostPool(THREADS, BESIDE)
    yield made
    await asyncio.to_thread(made.close)


def start(pool: HostPool, count: int) -> list[tuple[Work, "asyncio.Task[Work]"]]:
    works = [Work() for _ in range(count)]
    return [(work, asyncio.ensure_future(pool.run(work))) for work in works]


async def finish(started: list[tuple[Work, "asyncio.Task[Work]"]]) -> None:
    for work, _ in started:
        work.gate.set()
    assert [await task for _, task in started] == [work for work, _ in started]


async def settle() -> None:
    """Until what could be admitted has been."""
    for _ in range(3):
        await asyncio.sleep(0)


def begun(started: list[tuple[Work, "asyncio.Task[Work]"]]) -> list[bool]:
    return [work.begun.is_set() for work, _ in started]


async def test_without_networks_every_thread_works(pool: HostPool) -> None:
    started = start(pool, 5)
    for work, _ in started[:THREADS]:
        await work.has_begun()
    await settle()
    assert begun(started) == [True] * THREADS + [False] * 2
    await finish(started)


async def test_beside_networks_less_works_first_come_first_served(pool: HostPool) -> None:
    with pool.networks_have_work():
        started = start(pool, 3)
        for index, (work, task) in enumerate(started):
            await work.has_begun()
            await settle()
            assert begun(started) == [True] * (index + 1) + [False] * (2 - index)
            work.gate.set()
            assert await task is work


async def test_what_waits_begins_once_the_networks_have_nothing_left(pool: HostPool) -> None:
    with ExitStack() as stack:
        stack.enter_context(pool.networks_have_work())
        with pool.networks_have_work():
            started = start(pool, 3)
            await started[0][0].has_begun()
        await settle()
        assert begun(started) == [True, False, False]
    for work, _ in started:
        await work.has_begun()
    await finish(started)


async def test_what_began_before_the_networks_goes_on(pool: HostPool) -> None:
    started = start(pool, 2)
    for work, _ in started:
        await work.has_begun()
    with pool.networks_have_work():
        late = start(pool, 1)
        started[0][0].gate.set()
        await started[0][1]
        await settle()
        assert begun(late) == [False]
        started[1][0].gate.set()
        await late[0][0].has_begun()
    await finish(started + late)


async def test_who_leaves_gives_up_the_place_in_the_line(pool: HostPool) -> None:
    with pool.networks_have_work():
        started = start(pool, 3)
        await started[0][0].has_begun()
        started[1][1].cancel()
        await asyncio.wait([started[1][1]])
        started[0][0].gate.set()
        await started[2][0].has_begun()
        await finish([started[0], started[2]])
    assert not started[1][0].begun.is_set()


async def test_work_that_nobody_awaits_keeps_its_place_until_it_is_done(pool: HostPool) -> None:
    with pool.networks_have_work():
        (left, leaving), (next_one, waiting) = start(pool, 2)
        await left.has_begun()
        leaving.cancel()
        await asyncio.wait([leaving])
        await settle()
        assert not next_one.begun.is_set()
        left.gate.set()
        await next_one.has_begun()
        await finish([(next_one, waiting)])


async def test_an_error_is_the_callers_and_frees_the_place(pool: HostPool) -> None:
    def fail() -> None:
        raise ValueError("broken")

    with pool.networks_have_work():
        for _ in range(3):
            with pytest.raises(ValueError, match="broken"):
                await pool.run(fail)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_comes_and_goes_everyone_is_served_and_no_limit_passed(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.sampled_from(["ask", "leave", "networks", "no networks", "finish"]), max_size=30))

    async def play() -> None:
        pool = HostPool(THREADS, BESIDE)
        asked: list[tuple[Work, asyncio.Task[Work]]] = []
        with ExitStack() as networks:
            for step in steps:
                if step == "ask":
                    asked += start(pool, 1)
                elif step == "leave" and asked:
                    asked[data.draw(st.integers(0, len(asked) - 1))][1].cancel()
                elif step == "networks":
                    networks.enter_context(pool.networks_have_work())
                elif step == "no networks":
                    networks.pop_all().close()
                elif step == "finish" and asked:
                    asked[data.draw(st.integers(0, len(asked) - 1))][0].gate.set()
                await settle()
                under_way = sum(work.begun.is_set() and not work.gate.is_set() for work, _ in asked)
                assert under_way <= THREADS
        for work, _ in asked:
            work.gate.set()
        for work, task in asked:
            await asyncio.wait([task])
            assert task.cancelled() or task.result() is work
        # All places are free again.
        await finish(start(pool, THREADS + 1))
        await asyncio.to_thread(pool.close)

    asyncio.run(play())
