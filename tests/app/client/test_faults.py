"""A service that is busy, breaks off, refuses, or is none."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.client.sending import retry_after
from tests.app.client.command_line import pictures, rows, score
from tests.support.faulty import DROP, EXAMPLES, Fault, Faulty, faulty_service


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_service() as service:
        yield service


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_503_is_tried_again_after_the_time_that_it_names(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    faulty.faults = [Fault(503, "overloaded", {"Retry-After": "2"})]
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url)
    assert result.exit_code == 0, result.stderr
    first, second = (moment for *_, moment in faulty.asked)
    assert 2 <= second - first < 20
    assert [row["score"] for row in rows(tmp_path / "t.csv")] == [str(EXAMPLES["score"]["score"])]


@pytest.mark.parametrize("fault", [Fault(DROP), Fault(504, "deadline_exceeded"), Fault(502), Fault(503)])
def test_what_is_of_the_moment_is_tried_again(faulty: Faulty, tmp_path: Path, fault: Fault) -> None:
    pictures(tmp_path / "in", 1)
    faulty.faults = [fault]
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url).exit_code == 0
    assert len(faulty.asked) == 2
    assert [row["status"] for row in rows(tmp_path / "t.csv")] == ["200"]


@pytest.mark.parametrize("fault", [Fault(DROP), Fault(503, "overloaded", {"Retry-After": "3600"})])
def test_one_file_without_an_answer_does_not_stop_the_others(faulty: Faulty, tmp_path: Path, fault: Fault) -> None:
    names = pictures(tmp_path / "in", 3)
    faulty.always = {sha256_of(tmp_path / "in" / names[1]): fault}
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--patience", "0", "--concurrency", "1")
    assert result.exit_code == 1
    assert f"unanswered: {names[1]}" in result.stderr
    assert [row["filename"] for row in rows(tmp_path / "t.csv")] == [names[0], names[2]]
    faulty.always = {}
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url).exit_code == 0
    assert faulty.bodies[3:] == [sha256_of(tmp_path / "in" / names[1])]


def test_a_service_that_is_away_ends_the_run_with_no_row(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 5)
    faulty.ready = False
    faulty.faults = [Fault(503, "not_ready")] * 20
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--patience", "0", "--concurrency", "2")
    assert result.exit_code == 2
    assert "not_ready" in result.stderr
    assert len(faulty.asked) <= 2
    assert rows(tmp_path / "t.csv") == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(422, "unreadable_image"), "unreadable_image"),
        (Fault(415, "unsupported_format"), "unsupported_format"),
        (Fault(413), "http_413"),
        (Fault(400, "empty_file"), "empty_file"),
    ],
)
def test_a_refused_file_is_a_row_with_the_code_and_no_score(
    faulty: Faulty, tmp_path: Path, fault: Fault, code: str
) -> None:
    names = pictures(tmp_path / "in", 2)
    faulty.always = {sha256_of(tmp_path / "in" / names[0]): fault}
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--concurrency", "1")
    assert result.exit_code == 1
    assert f"refused: {names[0]}: {code}" in result.stderr
    refused, scored = rows(tmp_path / "t.csv")
    assert (refused["error"], refused["status"], refused["score"]) == (code, str(fault.status), "")
    assert refused["sha256"] == sha256_of(tmp_path / "in" / names[0])
    assert all(refused[f"lung_segment_{number}"] == "" for number in range(1, 7))
    assert scored["score"] == str(EXAMPLES["score"]["score"])


def test_a_fault_of_the_services_is_a_row_and_an_exit_status_also_of_later_runs(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    faulty.faults = [Fault(500, "internal")]
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url).exit_code == 1
    assert [(row["error"], row["request_id"], row["score"]) for row in rows(tmp_path / "t.csv")] == [
        ("internal", "of-the-fault", "")
    ]
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url).exit_code == 1
    assert len(faulty.asked) == 1


@pytest.mark.parametrize(
    "fault", [Fault(401, "unauthorised"), Fault(404, "not_found"), Fault(400, "invalid_parameter"), Fault(307)]
)
def test_what_every_file_would_be_told_ends_the_run(faulty: Faulty, tmp_path: Path, fault: Fault) -> None:
    pictures(tmp_path / "in", 5)
    faulty.faults = [fault] * 5
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--concurrency", "1")
    assert result.exit_code == 2
    assert (fault.code or "http_307") in result.stderr
    assert len(faulty.asked) == 1
    assert rows(tmp_path / "t.csv") == []


@pytest.mark.parametrize(
    "edits",
    [
        {"score": 7},
        {"score": "4"},
        {"score": True},
        {"zones": []},
        {"quality": None},
        {"models": {}},
    ],
)
def test_an_answer_that_makes_no_sense_is_no_score(faulty: Faulty, tmp_path: Path, edits: dict[str, object]) -> None:
    pictures(tmp_path / "in", 1)
    faulty.edits = edits
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url).exit_code == 2
    assert rows(tmp_path / "t.csv") == []


def test_a_page_in_place_of_an_answer_is_no_score(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    faulty.faults = [Fault(200)]
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url)
    assert (result.exit_code, rows(tmp_path / "t.csv")) == (2, [])
    assert "not a JSON object" in result.stderr


def test_without_a_score_there_are_no_shares_either(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    faulty.edits = {"score": None, "margin": None, "quality": {"scorable": False, "flags": ["not_chest", "rotated"]}}
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url).exit_code == 1
    (row,) = rows(tmp_path / "t.csv")
    assert (row["score"], row["margin"], row["scorable"], row["flags"]) == ("", "", "false", "not_chest;rotated")
    assert [row[f"lung_segment_{number}"] for number in range(1, 7)] == [""] * 6


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--threshold", "0.5", key="the-secret")
    path, headers, _, _ = faulty.asked[0]
    assert headers["authorization"] == "Bearer the-secret"
    assert path == "/score?overlay=false&threshold=0.5"
    assert "the-secret" not in result.output + (tmp_path / "t.csv").read_text()


def test_a_table_of_two_networks_says_so(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    assert "different networks" not in score(tmp_path / "in", tmp_path / "t.csv", faulty.url).stderr
    pictures(tmp_path / "in", 2)
    faulty.edits = {"threshold": 0.9}
    assert "different networks" in score(tmp_path / "in", tmp_path / "t.csv", faulty.url).stderr


def test_several_requests_at_once_and_never_more(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 6)
    faulty.faults = [Fault(503, "overloaded")] * 3
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--concurrency", "3", "--patience", "60")
    assert result.exit_code == 0
    # The first three waited side by side: each of the other three came after one of them had its answer.
    assert len(set(faulty.bodies[:3])) == 3
    assert sorted(row["filename"] for row in rows(tmp_path / "t.csv")) == [f"{number:02}.png" for number in range(6)]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("7", 7.0),
        ("soon", 0.0),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
    ids=["none", "seconds", "a word", "below zero", "the past"],
)
def test_retry_after_as_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds


def test_retry_after_in_an_hour() -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    assert retry_after(format_datetime(in_an_hour, usegmt=True)) == pytest.approx(3600, abs=120)


@pytest.mark.parametrize(
    "options",
    [
        ("--url", "ftp://somewhere"),
        ("--url", "127.0.0.1:8000"),
        ("--api-key", "two words"),
        ("--threshold", "2"),
        ("--concurrency", "0"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_sent(
    faulty: Faulty, tmp_path: Path, options: tuple[str, str]
) -> None:
    pictures(tmp_path / "in", 1)
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url, *options).exit_code == 2
    assert faulty.asked == []
    assert not (tmp_path / "t.csv").exists()


def test_masks_do_not_go_among_the_radiographs(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    folder = str(tmp_path / "in")
    assert score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--masks", folder).exit_code == 2
    assert faulty.asked == []


def test_its_requests_are_bulk_and_go_on_with_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    pictures(tmp_path / "in", 1)
    with faulty_service() as service:
        assert score(tmp_path / "in", tmp_path / "first.csv", service.url).exit_code == 0
        monkeypatch.setenv("TRACEPARENT", traceparent)
        assert score(tmp_path / "in", tmp_path / "second.csv", service.url).exit_code == 0
    sent = [{name.lower(): value for name, value in headers.items()} for _, headers, _, _ in service.asked]
    assert [headers["priority"] for headers in sent] == ["u=6", "u=6"]
    assert [headers.get("traceparent") for headers in sent] == [None, traceparent]
