"""Keys, headers, origins and connections that ask too much, over real HTTP."""

import json
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.keys import hash_key, new_key, read_entry
from tests.support.gates import gated
from tests.support.polling import until
from tests.support.processes import open_files
from tests.support.server import Server, running

HASTY = """
import sys
import uvicorn
from app.serving import serve
from app.http.protocol import BoundedProtocol
from app.settings import Settings
from tests.support.pictures import lung_mask
from tests.support.stubs import FixedMap, stub_workflow
BoundedProtocol.head_seconds = 0.3
BoundedProtocol.stalled_seconds = 0.3
BoundedProtocol.linger_seconds = 0.3

class HastyConfig(uvicorn.Config):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings, timeout_keep_alive=2)

uvicorn.Config = HastyConfig
sys.exit(serve(Settings(), stub_workflow(FixedMap(lung_mask()))))
"""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives clients 0.3 s for their headers and for reading an answer, and 2 s between two requests."""
    with running(tmp_path_factory.mktemp("hasty"), HASTY) as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.address, timeout=30)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def read_answer(connection: socket.socket) -> bytes:
    """One answer of JSON, which may come in pieces."""
    received = b""
    while not received.endswith(b"}"):
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


def problem_of(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    found: dict[str, object] = json.loads(body)
    return found


@pytest.mark.parametrize(("arguments", "name"), [([], ""), (["ris-2"], "ris-2:")], ids=["without a name", "named"])
def test_a_new_key_and_its_entry_belong_together(arguments: list[str], name: str) -> None:
    command = [sys.executable, "-m", "app.keys", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    key, entry = (line.split()[1] for line in output.splitlines())
    assert entry == f"{name}{hash_key(key)}"
    assert read_entry(entry).digest == hash_key(key)
    with pytest.raises(ValueError, match="expected SHA-256"):
        read_entry(key)
    assert new_key() != new_key()


@pytest.mark.parametrize("name", ["two words", "a:b", "", "ü", "a" * 33])
def test_a_name_that_would_break_logs_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected SHA-256"):
        read_entry(f"{name}:{hash_key('k')}")
    ended = subprocess.run([sys.executable, "-m", "app.keys", name], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two keys, one of them named, started by a process that may open 256 files."""
    entries = f"ris:{hash_key('first')},{hash_key('second')}"
    with ExitStack() as stack:
        with open_files(256):
            server = stack.enter_context(running(tmp_path_factory.mktemp("keyed"), HASTY, CXR_API_KEYS=entries))
        yield server


def test_callers_are_known_by_the_name_of_their_key(keyed: Server, phantom_png: bytes) -> None:
    short, callers = hash_key("second")[:8], []
    for key, status in (("first", 200), ("second", 200), ("third", 401)):
        answer = keyed.client.post("/score?overlay=false", content=phantom_png, headers={"x-api-key": key})
        assert answer.status_code == status
        callers.append(keyed.answered(answer.headers["x-request-id"]).get("caller"))
    assert callers == ["ris", short, None]
    assert keyed.metric("cxr_caller_requests_total", caller="ris", status="200") == 1
    assert keyed.metric("cxr_caller_requests_total", caller=short) == 1
    (ready,) = (line for line in keyed.log_lines() if line["message"] == "ready")
    assert set(ready["weights"]) == {"lungs", "disease"}  # type: ignore[call-overload]


def test_it_takes_the_descriptors_that_it_may_have(keyed: Server) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found, _ = resource.prlimit(keyed.process.pid, resource.RLIMIT_NOFILE)
    assert found == min(hard, 65_536)


def test_operations_are_closed_apart_from_analyses(phantom_png: bytes) -> None:
    keys = {"api_keys": (hash_key("ris"),), "operations_keys": (hash_key("ops"), hash_key("next"))}
    with gated(**keys) as live:
        client = live.client
        for path in ("/metrics", "/models"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"x-api-key": "ris"}).status_code == 401
            for key in ("ops", "next"):
                assert client.get(path, headers={"authorization": f"Bearer {key}"}).status_code == 200
        for key, status in (("ops", 401), (hash_key("ris"), 401), ("ris", 200)):
            assert client.post("/score", content=phantom_png, headers={"x-api-key": key}).status_code == status
        for path in ("/health/live", "/health/ready"):
            assert client.get(path).status_code == 200


def test_every_answer_has_the_security_headers_and_no_banner(hasty: Server, phantom_png: bytes) -> None:
    answers = [
        hasty.client.get("/health/live"),
        hasty.client.get("/docs"),
        hasty.client.get("/nothing-here"),
        hasty.client.post("/score", content=phantom_png),
        hasty.client.post("/score", content=b"not a picture"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "x-powered-by" not in answer.headers


def test_the_documentations_policy_names_its_own_script(hasty: Server) -> None:
    page = hasty.client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/=]{44}'", policy)) == page.text.count("<script>") == 1
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_other_origins_are_closed_by_default(hasty: Server) -> None:
    answer = hasty.client.get("/health/live", headers={"origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_named_origins_may_ask(phantom_png: bytes) -> None:
    asked, wanted = {"origin": "https://viewer.example"}, "priority,traceparent,x-api-key"
    with gated(cors_origins=("https://viewer.example",)) as live:
        client = live.client
        preflight = client.options(
            "/score",
            headers={**asked, "access-control-request-method": "POST", "access-control-request-headers": wanted},
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://viewer.example"
        answer = client.post("/score", content=phantom_png, headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://viewer.example"
        other = client.post("/score", content=phantom_png, headers={"origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: " + bytes(70_000).replace(b"\0", b"a") + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
        + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(9_000))
        + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Unended: " + b"a" * 300_000,
    ],
    ids=["one long header", "many headers", "long path", "a header without end"],
)
def test_a_giant_head_is_refused(server: Server, head: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(head)
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert problem_of(answer)["code"] == "headers_too_large"
    assert server.client.get("/health/live").status_code == 200


def test_what_is_not_http_is_answered_and_closed(hasty: Server) -> None:
    with connect(hasty) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert problem_of(answer)["code"] == "invalid_request"


@pytest.mark.parametrize("sent", [b"", b"GET /health/live HTTP/1.1\r\nHost:"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_ends_the_connection(hasty: Server, sent: bytes) -> None:
    with connect(hasty) as connection:
        connection.sendall(sent)
        started = time.monotonic()
        assert read_to_end(connection) == b""
        assert 0.2 < time.monotonic() - started < 10


def test_a_slow_body_and_a_second_request_outlast_the_time_for_a_head(hasty: Server, phantom_png: bytes) -> None:
    half = len(phantom_png) // 2
    head = b"POST /score?overlay=false HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(phantom_png)
    with connect(hasty) as connection:
        for _ in range(2):
            connection.sendall(head + phantom_png[:half])
            # Longer than a head may take: nothing may come, and the connection must stay.
            connection.settimeout(0.6)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(30)
            connection.sendall(phantom_png[half:])
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_a_refused_body_that_comes_to_its_end_leaves_the_connection_whole(hasty: Server, phantom_png: bytes) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Length: %d\r\n\r\n" % len(phantom_png)
    with connect(hasty) as connection:
        connection.sendall(head + phantom_png[:100])
        assert read_answer(connection).startswith(b"HTTP/1.1 406 ")
        connection.sendall(phantom_png[100:])
        # Longer than a body may go on after its answer.
        connection.settimeout(0.8)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(30)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("late", [b"x" * 10, b"\r\n"], ids=["a body after its refusal", "an empty line"])
def test_an_answered_connection_ends_whatever_came_last(hasty: Server, late: bytes) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Length: %d\r\n\r\n"
    asked = head % len(late) if late.strip() else b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(hasty) as connection:
        connection.sendall(asked)
        read_answer(connection)
        connection.sendall(late)
        # The server waits two seconds for another request.
        connection.settimeout(20)
        assert connection.recv(65536) == b""


def test_a_client_that_does_not_read_is_left(hasty: Server) -> None:
    asked = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(hasty) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(asked * 20)

        def is_left() -> bool:
            # The server ends the connection by a reset, which shows once we write.
            try:
                connection.sendall(asked)
            except (BrokenPipeError, ConnectionResetError):
                return True
            return False

        until(is_left, "the end of the connection", 30)
    assert hasty.client.get("/health/live").status_code == 200
