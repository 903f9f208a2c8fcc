"""Answers that come before the request's body has ended: the client reads them, and may not go on for ever."""

import asyncio
import json
import select
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from app.http.linger import LINGER_BYTES_A_SECOND, LINGER_ROUNDS, Linger
from app.http.protocol import NOT_HTTP_BYTES, BoundedProtocol
from app.keys import hash_key
from app.main import create_app
from app.settings import Settings
from tests.support.pictures import lung_mask
from tests.support.ports import Address
from tests.support.serving import serving
from tests.support.stubs import FixedMap, stub_workflow

MEBIBYTE = 2**20
LARGE = bytes(16 * MEBIBYTE)
"""More than the sockets of both sides hold."""
FORM = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + LARGE + b"\r\n--XX--\r\n"
REFUSED = "POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000000\r\n\r\n"


class Hasty(BoundedProtocol):
    """Reads on for no more than 0.3 s, unless the client is fast."""

    linger_seconds = 0.3


class Narrow(BoundedProtocol):
    """Reads on for a minute, but for no more than 4 MiB."""

    linger_seconds, linger_bytes = 60.0, 4 * MEBIBYTE


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def service(request: pytest.FixtureRequest) -> Iterator[Address]:
    """The real application, on each event loop; uploads may have 1 MiB."""
    app = create_app(
        Settings(_env_file=None, max_upload_mb=1, operations_keys=(hash_key("ops"),)),
        stub_workflow(FixedMap(lung_mask())),
    )
    with serving(app, BoundedProtocol, request.param) as address:
        yield address


def post(service: Address, path: str, body: bytes | Iterator[bytes], **headers: str) -> tuple[int, str]:
    """What urllib, which closes its connection and reads nothing before it has sent all, hears: status and code."""
    address = "http://{}:{}".format(*service)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(address + path, body, fields, method="POST"), timeout=120)  # noqa: S310
    with caught.value as answer:
        return answer.code, json.load(answer)["code"]


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        ("/score", LARGE, {}, (413, "upload_too_large")),
        ("/score", FORM, {"Content_Type": "multipart/form-data; boundary=XX"}, (413, "upload_too_large")),
        ("/score?threshold=7", LARGE, {}, (400, "invalid_parameter")),
        ("/models", LARGE, {}, (405, "method_not_allowed")),
        ("/nothing", LARGE, {}, (404, "not_found")),
        ("/score", LARGE, {"Accept": "text/html"}, (406, "not_acceptable")),
        ("/score", LARGE, {"X_Long": "a" * 70_000}, (431, "headers_too_large")),
    ],
)
def test_urllib_reads_why_its_body_was_refused(
    service: Address, path: str, body: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    if expected[0] == 431:
        body = body[: NOT_HTTP_BYTES // 2]
    assert post(service, path, body, **headers) == expected


def test_a_body_of_chunks_is_read_on(service: Address) -> None:
    pieces = (LARGE[:MEBIBYTE] for _ in range(16))
    assert post(service, "/score", pieces) == (413, "upload_too_large")


def test_a_connection_that_is_kept_stays_whole(service: Address) -> None:
    connection = HTTPConnection(*service, timeout=120)
    for _ in range(2):
        connection.request("POST", "/score", LARGE)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["code"]) == (413, "upload_too_large")
        assert not answer.will_close
    connection.close()


def test_the_end_comes_with_the_answer(service: Address) -> None:
    # Whoever reads to the end of the connection need not send all before.
    with socket.create_connection(service, timeout=30) as connection, connection.makefile("rb") as stream:
        connection.sendall(REFUSED.encode() + bytes(1000))
        assert json.loads(stream.read().partition(b"\r\n\r\n")[2])["code"] == "not_found"
        connection.sendall(bytes(1000))


def test_requests_after_the_last_one_do_not_cost_its_answer(service: Address) -> None:
    last = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(service, timeout=30) as connection, connection.makefile("rb") as stream:
        connection.sendall(last * 100)
        answers = stream.read()
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b'{"status":"live"}') == 1


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application that answers 404 and reads nothing."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def send_refused_head(connection: socket.socket) -> None:
    """And reads the answer."""
    connection.sendall(REFUSED.encode())
    with connection.makefile("rb") as stream:
        assert stream.readline() == b"HTTP/1.1 404 Not Found\r\n"


def drip(connection: socket.socket) -> None:
    """Sends a byte now and then, for a minute."""
    broken = select.poll()
    broken.register(connection, 0)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection.sendall(b"x")
        broken.poll(20)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_body_that_drips_after_its_answer_is_cut_off(loop: str) -> None:
    with serving(refuse, Hasty, loop) as address, socket.create_connection(address, timeout=30) as connection:
        send_refused_head(connection)
        with pytest.raises(ConnectionError):
            drip(connection)


def test_a_flood_after_its_answer_is_cut_off() -> None:
    with serving(refuse, Narrow) as address, socket.create_connection(address, timeout=120) as connection:
        send_refused_head(connection)
        with pytest.raises(ConnectionError):
            connection.sendall(4 * LARGE)


async def lasted(step: int, max_bytes: int = 1 << 40) -> int:
    """How many of five steps a round, each of so many bytes, a client may send."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    linger = Linger(loop, 0.05, max_bytes, ended.set)
    steps = 0

    def send() -> None:
        nonlocal steps
        if not ended.is_set() and steps < 10 * LINGER_ROUNDS:
            steps += 1
            linger.count(step)
            loop.call_later(0.01, send)

    send()
    await asyncio.wait_for(ended.wait(), 30)
    return steps


async def test_a_fast_client_may_go_on_and_a_slow_one_may_not() -> None:
    fast = LINGER_BYTES_A_SECOND
    assert LINGER_ROUNDS <= await lasted(fast) <= 5 * LINGER_ROUNDS + 1
    assert await lasted(1) <= 6
    assert await lasted(fast, 10 * fast) == 11
