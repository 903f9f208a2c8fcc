"""Admission, deadlines, clients that leave, and shutdown: a real uvicorn on loopback around gated stages."""

import gc
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.gates import gated
from tests.support.pictures import encoded
from tests.support.polling import until
from tests.support.problems import assert_problem
from tests.support.server import running


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
        until(lambda: live.in_flight() == 2, "places taken")
        with socket.create_connection(live.address, timeout=30) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
            refused = connection.recv(65536).decode()
        assert refused.startswith("HTTP/1.1 503")
        assert "retry-after: 1" in refused.lower()
        assert '"overloaded"' in refused
        for path in ("/health/live", "/health/ready", "/metrics", "/models"):
            assert live.client.get(path).status_code == 200
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in accepted] == [200, 200]
        assert live.in_flight() == 0


def test_concurrent_requests_share_batches(phantom_png: bytes) -> None:
    with gated(max_batch_size=8) as live:
        live.lungs.gate.clear()
        answers = [live.post(phantom_png)]
        live.entered()
        answers += [live.post(phantom_png) for _ in range(5)]
        until(lambda: live.queued() == 5, "a queue")
        live.lungs.gate.set()
        scores = {answer.result(60).json()["score"] for answer in answers}
        assert len(scores) == 1
        assert live.lungs.batches[-2:] == [1, 5]


def test_a_client_that_leaves_while_it_sends_gives_its_place_back(phantom_png: bytes) -> None:
    with gated(max_in_flight=1) as live:
        with socket.create_connection(live.address, timeout=30) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
            until(lambda: live.in_flight() == 1, "places taken")
        until(lambda: live.dropped("client_gone") == 1, "a client that left is noticed")
        assert live.post(phantom_png).result(60).status_code == 200


def test_an_answer_keeps_its_place_until_it_is_read(phantom_png: bytes) -> None:
    # Noise, whose overlay as a PNG is larger than all that sockets hold.
    noise = encoded(np.random.default_rng(0).integers(0, 256, (1600, 1600), np.uint8))
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
        until(lambda: live.in_flight() == 0, "places taken")
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
        until(lambda: live.in_flight() == 4, "places taken")
        live.server.should_exit = True
        until(lambda: refuses_connections(live.address), "a closed listener")
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
        until(lambda: server.metric("cxr_requests_in_flight") == 6, "six requests under way")
        server.process.terminate()
        assert [answer.result(60).status_code for answer in started] == [200] * 6
        assert server.process.wait(timeout=60) == 0
