"""Admission, deadlines, clients that leave, and shutdown: a real uvicorn on loopback around gated stages."""

import gc
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import uvicorn

from app.main import create_app
from app.service import Service
from app.settings import Settings
from models.workflow import Workflow
from tests.app.batching.test_batcher import SIZE, GatedStage
from tests.app.server import running
from tests.app.test_http import assert_problem
from tests.models.test_workflow import lung_mask
from tests.support.stubs import BrightIsDisease, FixedMap


@dataclass
class Gated:
    """A live service whose stage I waits at a gate."""

    server: uvicorn.Server
    service: Service
    lungs: GatedStage
    pool: ThreadPoolExecutor
    address: tuple[str, int]

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.address)

    def post(self, upload: bytes) -> Future[httpx.Response]:
        """A request on a connection of its own."""
        return self.pool.submit(httpx.post, f"{self.url}/score?overlay=false", content=upload, timeout=60)

    def in_flight(self) -> int:
        return self.gauge("cxr_requests_in_flight")

    def queued(self) -> int:
        return self.gauge('cxr_queue_depth{stage="lungs"}')

    def gauge(self, name: str) -> int:
        metrics = httpx.get(f"{self.url}/metrics", timeout=30).text
        return int(float(re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE).group(1)))

    def dropped(self, cause: str) -> float:
        return self.service.metrics.dropped.labels(cause)._value.get()

    def entered(self) -> None:
        """Until a run of stage I stands at the gate."""
        assert self.lungs.entered.acquire(timeout=30)


def until(holds: Callable[[], bool], seconds: float = 30.0) -> float:
    """Polls until it holds; the seconds that took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, "it never came to hold"
        time.sleep(0.001)
    return time.monotonic() - started


@contextmanager
def gated(**settings: object) -> Iterator[Gated]:
    lungs = GatedStage(FixedMap(lung_mask(SIZE)), SIZE)
    workflow = Workflow(lungs, GatedStage(BrightIsDisease(), SIZE), threshold=0.3)
    app = create_app(Settings(_env_file=None, **settings), workflow)
    service: Service = app.state.service
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: service.ready)
    lungs.entered = threading.Semaphore(0)  # the self-test's run does not count
    with ThreadPoolExecutor(16) as pool:
        try:
            yield Gated(server, service, lungs, pool, listener.getsockname())
        finally:
            lungs.gate.set()
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def test_a_collection_of_garbage_passes_over_what_the_service_keeps() -> None:
    with gated():
        assert gc.get_freeze_count() > len(gc.get_objects())
    assert gc.get_freeze_count() == 0


def test_over_the_limit_is_refused_before_the_body_and_health_answers(phantom_png: bytes) -> None:
    with gated(max_in_flight=2) as live:
        live.lungs.gate.clear()
        accepted = [live.post(phantom_png)]
        live.entered()
        accepted.append(live.post(phantom_png))
        until(lambda: live.in_flight() == 2)
        with socket.create_connection(live.address, timeout=30) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
            refused = connection.recv(65536).decode()
        assert refused.startswith("HTTP/1.1 503")
        assert "retry-after: 1" in refused.lower()
        assert '"overloaded"' in refused
        for path in ("/health/live", "/health/ready", "/metrics", "/models"):
            assert httpx.get(live.url + path, timeout=30).status_code == 200
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in accepted] == [200, 200]
        assert live.in_flight() == 0


def test_concurrent_requests_share_batches(phantom_png: bytes) -> None:
    with gated(max_batch_size=8) as live:
        live.lungs.gate.clear()
        answers = [live.post(phantom_png)]
        live.entered()
        answers += [live.post(phantom_png) for _ in range(5)]
        until(lambda: live.queued() == 5)
        live.lungs.gate.set()
        scores = {answer.result(60).json()["score"] for answer in answers}
        assert len(scores) == 1
        assert live.lungs.batches[-2:] == [1, 5]


def test_a_client_that_leaves_gives_its_place_back(phantom_png: bytes) -> None:
    with gated(max_in_flight=1) as live:
        live.lungs.gate.clear()
        head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(phantom_png)}\r\n\r\n".encode()
        with socket.create_connection(live.address, timeout=30) as connection:
            connection.sendall(head + phantom_png)
            live.entered()
        seconds = until(lambda: live.dropped("client_gone") == 1)
        assert seconds < 0.5, "a client that left is noticed in 50 ms on a quiet machine"
        until(lambda: live.in_flight() == 0)
        live.lungs.gate.set()
        assert live.post(phantom_png).result(60).status_code == 200


def test_a_client_that_leaves_while_it_sends_gives_its_place_back(phantom_png: bytes) -> None:
    with gated(max_in_flight=1) as live:
        with socket.create_connection(live.address, timeout=30) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
            until(lambda: live.in_flight() == 1)
        until(lambda: live.dropped("client_gone") == 1)
        assert live.post(phantom_png).result(60).status_code == 200


def test_an_answer_keeps_its_place_until_it_is_read(phantom_png: bytes) -> None:
    # Noise, whose overlay as a PNG is larger than all that sockets hold.
    noise = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (1600, 1600), np.uint8))[1].tobytes()
    head = b"POST /segment?overlay_format=png HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(noise)
    with gated(max_in_flight=1) as live, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(live.address)
        connection.sendall(head + noise)
        assert connection.recv(1, socket.MSG_PEEK)
        assert live.in_flight() == 1
        assert_problem(live.post(phantom_png).result(60), 503, "overloaded")
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += connection.recv(1 << 16)
        length = int(re.search(rb"content-length: (\d+)", received[:end])[1])
        assert length > 5 * 2**20
        left = length - (len(received) - end - 4)
        while left:
            left -= len(connection.recv(1 << 20))
        until(lambda: live.in_flight() == 0)
        assert live.post(phantom_png).result(60).status_code == 200


def test_the_deadline_covers_the_networks_and_gives_the_place_back(phantom_png: bytes) -> None:
    with gated(max_in_flight=1, request_timeout_s=0.3) as live:
        live.lungs.gate.clear()
        answer = live.post(phantom_png).result(60)
        assert_problem(answer, 504, "deadline_exceeded")
        assert answer.headers["retry-after"] == "1"
        assert live.in_flight() == 0
        assert live.dropped("deadline") == 1


def test_the_deadline_covers_a_slow_body() -> None:
    with gated(request_timeout_s=0.3) as live, socket.create_connection(live.address, timeout=30) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
        assert connection.recv(65536).startswith(b"HTTP/1.1 504")


def test_a_shutdown_finishes_what_was_accepted(phantom_png: bytes) -> None:
    with gated() as live:
        live.lungs.gate.clear()
        answers = [live.post(phantom_png)]
        live.entered()
        answers += [live.post(phantom_png) for _ in range(3)]
        until(lambda: live.in_flight() == 4)
        live.server.should_exit = True
        until(lambda: refuses_connections(live.address))
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in answers] == [200] * 4


def refuses_connections(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # It was in the listener's queue when that closed: the next one tells.
        return False
    return False


@pytest.mark.slow
def test_sigterm_under_load_loses_nothing(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path) as server, ThreadPoolExecutor(6) as pool:
        started = [pool.submit(httpx.post, f"{server.url}/score", content=phantom_png, timeout=60) for _ in range(6)]
        until(lambda: "cxr_requests_in_flight 6.0" in server.client.get("/metrics").text)
        server.process.terminate()
        assert [answer.result(60).status_code for answer in started] == [200] * 6
        assert server.process.wait(timeout=60) == 0
