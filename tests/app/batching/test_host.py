import threading
from concurrent.futures import CancelledError

import pytest

from app.batching.host import HostPool
from app.urgency import Turn


@pytest.fixture
def order() -> list[str]:
    return []


def test_what_waits_is_called_by_its_turn_and_equals_as_they_came(order: list[str]) -> None:
    pool, gate = HostPool(1), threading.Event()
    pool.submit(Turn(9.0), gate.wait)
    waiting = [
        pool.submit(Turn(due), lambda name=name: order.append(name))
        for due, name in ((5.0, "a"), (1.0, "b"), (5.0, "c"))
    ]
    gate.set()
    for future in waiting:
        future.result(30)
    pool.close()
    assert order == ["b", "a", "c"]


def test_an_error_is_the_callers_and_the_thread_goes_on() -> None:
    pool = HostPool(1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(Turn(0.0), lambda: 1 / 0).result(30)
    assert pool.submit(Turn(0.0), lambda: 7).result(30) == 7
    pool.close()


def test_what_was_cancelled_is_not_called(order: list[str]) -> None:
    pool, gate = HostPool(1), threading.Event()
    pool.submit(Turn(0.0), gate.wait)
    gone = pool.submit(Turn(1.0), lambda: order.append("gone"))
    assert gone.cancel()
    gate.set()
    assert pool.submit(Turn(2.0), lambda: 7).result(30) == 7
    pool.close()
    assert order == []
    with pytest.raises(CancelledError):
        gone.result(0)


def test_closing_waits_for_all_that_was_queued(order: list[str]) -> None:
    pool, gate = HostPool(2), threading.Event()
    pool.submit(Turn(0.0), gate.wait)
    for _ in range(20):
        pool.submit(Turn(0.0), lambda: order.append("done"))
    gate.set()
    pool.close()
    assert len(order) == 20
