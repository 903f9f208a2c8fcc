"""The load generator against a real server, and the bars that are made of its figures."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.load import build_requests, measure
from benchmarks.servers import OURS
from benchmarks.tables import render


class Echo(BaseHTTPRequestHandler):
    """Answers with the body's length; one in the path's ``fail`` way."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = str(len(body)).encode() * 5000
        self.send_response(503 if "fail" in self.path else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Clients leave in the middle of their last answer."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = Server(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("path", "status"), [("/score", "200"), ("/fail", "503")])
def test_every_answer_is_counted_by_its_status(port: int, path: str, status: str) -> None:
    requests = build_requests([b"a" * 300_000, b"b" * 10], path)
    report = measure(port, 4, 0.5, requests)
    assert set(report.answers) == {status}
    counted = report.answers[status]
    assert report.all_answers >= counted + 4
    # Little's law: as many are under way as there are clients.
    assert report.rate * report.mean / 1000 == pytest.approx(4, rel=0.5)
    assert 0 < report.p50 <= report.p95 <= report.p99


def test_each_client_counts_however_short_the_time(port: int) -> None:
    report = measure(port, 8, 0.0, build_requests([b"a" * 300_000], "/score"))
    assert report.answers["200"] >= 8


def rows(ours: float, theirs: float) -> list[dict[str, object]]:
    figures = {"section": "embedded", "clients": 16, "p50": 1.0, "p95": 1.0, "p99": 1.0, "answers": {"200": 9}}
    return [
        *({**figures, "round": number, "server": OURS, "rate": ours + number} for number in range(3)),
        *({**figures, "round": number, "server": "mosec", "rate": theirs + number} for number in range(3)),
    ]


def test_medians_are_held_against_the_bars() -> None:
    table, met = render(rows(20.0, 10.0))
    assert met
    assert "| 16 | service | 21.0 |" in table
    table, met = render(rows(10.0, 20.0))
    assert not met
    assert "ours ÷ mosec's | 0.524 ≥ 1 | **missed** |" in table


def test_failed_requests_and_growing_memory_miss_their_bars() -> None:
    steady = {
        "section": "steady",
        "clients": 16,
        "seconds": 600.0,
        "p99": 5.0,
        "answers": {"200": 10, "500": 1},
        "resident_mib": [(float(at), 1000.0 + at) for at in range(0, 600, 10)],
    }
    table, met = render([steady])
    assert not met
    assert table.count("**missed**") == 2
