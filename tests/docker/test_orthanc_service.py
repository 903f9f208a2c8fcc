"""What the edge makes of the answers it gets, also of those that do not come from the service."""

import socket
import threading
from io import BytesIO

import pytest
from pydicom import dcmread

from cxr_edge.service import RESULTS, Away, Refused, ScoringService, Unanswered
from tests.docker.orthanc_answers import PROBLEM, listening, says
from tests.docker.orthanc_edge import radiograph
from tests.support.dicoms import write
from tests.support.server import Server


@pytest.mark.parametrize(
    ("status", "media_type", "body", "expected"),
    [
        ("422 Unprocessable", PROBLEM, '{"code": "unsupported_dicom"}', Refused),
        ("413 Too Large", PROBLEM, '{"code": "upload_too_large"}', Refused),
        ("413 Too Large", "text/html", "a proxy's own limit", Unanswered),
        ("422 Unprocessable", PROBLEM, "not JSON", Unanswered),
        ("422 Unprocessable", PROBLEM, '{"code": "a code\\nin two lines"}', Unanswered),
        ("500 Internal", PROBLEM, '{"code": "internal"}', Unanswered),
        ("401 Unauthorised", PROBLEM, '{"code": "unauthorised"}', Away),
        ("404 Not Found", "text/html", "an older service", Away),
        ("502 Bad Gateway", "text/html", "", Away),
        ("503 Unavailable", PROBLEM, '{"code": "overloaded"}', Away),
        ("302 Found", "text/html", "a log-in page", Away),
        ("200 OK", "application/json", "{}", Away),
        ("200 OK", "application/zip", "no archive", Away),
    ],
)
def test_each_answer_is_told_apart(status: str, media_type: str, body: str, expected: type[Exception]) -> None:
    with listening(says(status, media_type, body)) as url, pytest.raises(expected):
        ScoringService(url).ask(["seg"], b"radiograph")


def test_retry_after_is_heard() -> None:
    with listening(says("503 Unavailable", PROBLEM, "{}", "Retry-After: 7")) as url, pytest.raises(Away) as told:
        ScoringService(url).ask(["seg"], b"radiograph")
    assert told.value.retry_after == 7


def test_a_redirect_is_not_followed() -> None:
    with (
        listening(says("200 OK", "application/dicom", "elsewhere")) as elsewhere,
        listening(says("308 Permanent Redirect", "text/html", "", f"Location: {elsewhere}")) as url,
        pytest.raises(Away),
    ):
        ScoringService(url).ask(["seg"], b"radiograph")


def test_nobody_there_is_away() -> None:
    with pytest.raises(Away):
        ScoringService("http://127.0.0.1:9").ask(["seg"], b"radiograph")


def test_a_broken_answer_is_no_answer() -> None:
    def breaks(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Length: 10\r\n\r\nhalf")

    with listening(breaks) as url, pytest.raises(Unanswered):
        ScoringService(url).ask(["seg"], b"radiograph")


def test_silence_counts_only_where_the_service_is_ready() -> None:
    ready = threading.Event()

    def answer(connection: socket.socket) -> None:
        if connection.recv(65536).startswith(b"POST"):
            connection.settimeout(60)
            connection.recv(65536)  # until the edge gives up
        elif ready.is_set():
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with listening(answer) as url:
        service = ScoringService(url, timeout_s=0.2)
        with pytest.raises(Away):
            service.ask(["seg"], b"")
        ready.set()
        with pytest.raises(Unanswered):
            service.ask(["seg"], b"")


def test_closing_ends_a_request_under_way() -> None:
    asked = threading.Event()

    def waits(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        while connection.recv(65536):
            pass

    with listening(waits) as url:
        service = ScoringService(url)

        def close() -> None:
            asked.wait(60)
            service.close()

        closing = threading.Thread(target=close)
        closing.start()
        with pytest.raises(Unanswered):
            service.ask(["seg"], b"radiograph")
        closing.join()
        with pytest.raises(Away):
            service.ask(["seg"], b"radiograph")


@pytest.mark.parametrize(
    "url", ["", "ftp://service", "http://", "http://a..b", "http://a b", "http://a:x", "http://a/?b", "http://a\r\nb"]
)
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        ScoringService(url)


def test_a_key_that_no_header_carries_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="API key") as refused:
        ScoringService("http://127.0.0.1", "secret\r\nHost: elsewhere")
    assert "secret" not in str(refused.value)


def test_the_service_refuses_what_is_no_dicom(server: Server, phantom_png: bytes) -> None:
    with pytest.raises(Refused) as refused:
        ScoringService(server.url).ask(RESULTS, phantom_png)
    assert refused.value.code == "unsupported_dicom"


def test_results_come_in_the_order_that_was_asked_for(server: Server) -> None:
    results = ScoringService(server.url).ask(["sc", "seg"], write(radiograph()))
    assert [dcmread(BytesIO(result)).Modality for result in results] == ["OT", "SEG"]


def test_a_backlog_says_so_and_each_radiograph_has_a_trace() -> None:
    heads: list[bytes] = []

    def keep(connection: socket.socket) -> None:
        heads.append(connection.recv(65536).lower())
        connection.sendall(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n")

    with listening(keep) as url:
        service = ScoringService(url)
        for late in (True, False):
            with pytest.raises(Away):
                service.ask(["seg"], b"radiograph", late, "ab" * 16)
        with pytest.raises(Away):
            service.ask(["seg"], b"radiograph")
    assert [b"priority: u=6" in head for head in heads] == [True, False, False]
    assert [b"traceparent: 00-" + b"ab" * 16 + b"-" in head for head in heads] == [True, True, False]
