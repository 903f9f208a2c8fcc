import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from models.waiting import ShortWaits

_TASKS = Path("/proc/self/task")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    # Those of an earlier test end on their own.
    _until(lambda: not _extra())
    yield
    torch.set_num_threads(before)


def _extra() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "openmp-extra"]


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.skipif(not _TASKS.is_dir(), reason="counts a Linux process's threads")
def test_held_there_is_one_team_more() -> None:
    before = len(os.listdir(_TASKS))
    with ShortWaits().held():
        # The thread itself and the second of its team.
        _until(lambda: len(os.listdir(_TASKS)) >= before + 2)


def test_what_is_held_more_than_once_is_let_go_by_the_last() -> None:
    waits = ShortWaits()
    with waits.held():
        with waits.held():
            assert len(_extra()) == 1
        assert len(_extra()) == 1
    _until(lambda: not _extra())


def test_many_threads_leave_none_behind_and_it_can_be_held_again() -> None:
    waits = ShortWaits()

    def hold(_: int) -> None:
        with waits.held():
            assert _extra()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(300)))
    _until(lambda: not _extra())
    with waits.held():
        assert len(_extra()) == 1


def test_an_error_lets_go() -> None:
    with pytest.raises(ValueError, match="host work"), ShortWaits().held():
        raise ValueError("host work")
    _until(lambda: not _extra())


def test_without_another_thread_to_be_had_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    done = []
    with ShortWaits().held():
        done.append(True)
    assert done
