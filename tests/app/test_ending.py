"""How the real process ends: by either signal, while it starts, and with a delay for balancers that poll."""

import signal
from pathlib import Path

import httpx
import pytest

from tests.support.polling import until
from tests.support.problems import assert_problem
from tests.support.processes import wait_answering
from tests.support.server import START_SECONDS, running, start

SLOW_START = """
import sys
from pathlib import Path
from app import startup
from tests.support.polling import until
load = startup.load_workflow
def waits(settings):
    until(Path("told").exists, "the signal", 60)
    return load(settings)
startup.load_workflow = waits
from app.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_told_to_end_while_it_starts(tmp_path: Path, ending: signal.Signals) -> None:
    server = start(tmp_path, {}, SLOW_START)

    def is_live() -> bool:
        return server.client.get("/health/live").status_code == 200

    wait_answering(server.process, server.log, is_live, START_SECONDS)
    assert_problem(server.client.get("/health/ready"), 503, "not_ready")
    server.process.send_signal(ending)
    (tmp_path / "told").touch()
    assert server.process.wait(timeout=60) == 0
    assert "Traceback" not in server.log.read_text()
    assert "stopped" in [line["message"] for line in server.log_lines()]


def test_told_to_end_by_the_keyboard(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path) as server:
        assert server.client.post("/score?overlay=false", content=phantom_png).status_code == 200
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=60) == 0
    assert "Traceback" not in server.log.read_text()


def test_balancers_that_poll_learn_of_the_end_before_clients_do(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path, CXR_DRAIN_DELAY_S="3") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.client.get("/health/ready").status_code == 503, "readiness to be withdrawn")
        assert_problem(server.client.get("/health/ready"), 503, "not_ready")
        assert server.metric("cxr_ready") == 0
        assert server.client.get("/health/live").status_code == 200
        # Whoever has not polled yet is still served, on new connections too.
        assert httpx.post(f"{server.url}/score?overlay=false", content=phantom_png, timeout=60).status_code == 200
        assert server.process.wait(timeout=60) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health/live", timeout=5)


def test_a_second_signal_ends_the_delay(tmp_path: Path) -> None:
    with running(tmp_path, CXR_DRAIN_DELAY_S="600") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.client.get("/health/ready").status_code == 503, "readiness to be withdrawn")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
