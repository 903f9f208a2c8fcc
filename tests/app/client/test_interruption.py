"""A run that is cut off, and the next one that goes on where it stopped."""

import signal
from pathlib import Path

import pytest

from tests.app.client.command_line import FEW_SECONDS, begin, pictures, rows, score
from tests.support.faulty import Fault, Faulty, faulty_service


def wait_for(faulty: Faulty, requests: int) -> None:
    for _ in range(requests):
        assert faulty.arrived.acquire(timeout=FEW_SECONDS)


def sent_twice(faulty: Faulty) -> set[str]:
    return {body for body in faulty.bodies if faulty.bodies.count(body) > 1}


@pytest.mark.parametrize("cut", [0, 1, 30, 300])
def test_killed_at_once_and_cut_off_within_a_row(tmp_path: Path, cut: int) -> None:
    names, table = pictures(tmp_path / "in", 8), tmp_path / "t.csv"
    with faulty_service() as faulty:
        assert score(tmp_path / "in", table, faulty.url, "--concurrency", "1").exit_code == 0
        whole = table.read_bytes()
    table.unlink()
    with faulty_service() as faulty:
        (tmp_path / "in" / names[3]).rename(tmp_path / "held back")
        assert score(tmp_path / "in", table, faulty.url, "--concurrency", "1").exit_code == 0
        (tmp_path / "held back").rename(tmp_path / "in" / names[3])
        faulty.gate.clear()
        wait_for(faulty, 7)
        process = begin(tmp_path / "in", table, faulty.url)
        wait_for(faulty, 1)
        process.kill()
        assert process.wait(FEW_SECONDS) == -signal.SIGKILL
        process.stderr.close()
        written = table.read_bytes()
        table.write_bytes(written[: len(written) - cut])
        faulty.gate.set()
        result = score(tmp_path / "in", table, faulty.url, "--concurrency", "1")
        assert result.exit_code == 0, result.stderr
    assert sorted(row["filename"] for row in rows(table)) == names
    assert sorted(table.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_an_interrupt_lets_what_is_under_way_be_answered(tmp_path: Path) -> None:
    names, table = pictures(tmp_path / "in", 6), tmp_path / "t.csv"
    with faulty_service() as faulty:
        faulty.gate.clear()
        process = begin(tmp_path / "in", table, faulty.url, "--concurrency", "2")
        wait_for(faulty, 2)
        process.send_signal(signal.SIGINT)
        faulty.gate.set()
        _, words = process.communicate(timeout=FEW_SECONDS)
        assert process.returncode == 130, words
        before = [row["filename"] for row in rows(table)]
        assert sorted(before)[:2] == names[:2]
        assert score(tmp_path / "in", table, faulty.url).exit_code == 0
        assert sent_twice(faulty) == set()
    assert sorted(row["filename"] for row in rows(table)) == names


def test_an_interrupt_ends_a_wait(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    with faulty_service() as faulty:
        faulty.faults = [Fault(503, "overloaded", {"Retry-After": "3600"})]
        process = begin(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--patience", "7200")
        wait_for(faulty, 1)
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=FEW_SECONDS)
        assert process.returncode == 130, words
        assert len(faulty.asked) == 1
    assert rows(tmp_path / "t.csv") == []


def test_another_folder_goes_into_the_same_table(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        pictures(tmp_path / folder, 2)
    with faulty_service() as faulty:
        for folder in ("one", "two", "one"):
            assert score(tmp_path / folder, tmp_path / "t.csv", faulty.url, "--concurrency", "1").exit_code == 0
        assert len(faulty.asked) == 4
    found = [(row["dataset"], row["filename"]) for row in rows(tmp_path / "t.csv")]
    assert found == [("one", "00.png"), ("one", "01.png"), ("two", "00.png"), ("two", "01.png")]
