"""HTTP on one connection, against a real uvicorn on loopback around an application that sends bodies back."""

import io
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.http.protocol import BoundedProtocol
from tests.support.ports import Address
from tests.support.programs import program
from tests.support.serving import serving

Answer: TypeAlias = tuple[int, str, bytes]
"""Status, what the request asked and whether it offered HTTP/2, its body."""

LONG = bytes(range(256)) * 8192
JAVA = """
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Arrays;

public class Echo {
    public static void main(String[] arguments) throws Exception {
        byte[] body = new byte[300000];
        for (int place = 0; place < body.length; place++) body[place] = (byte) (place % 251);
        HttpClient client = HttpClient.newHttpClient();
        for (BodyPublisher publisher : new BodyPublisher[] {
            BodyPublishers.ofByteArray(body), BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
        }) {
            var request = HttpRequest.newBuilder(URI.create(arguments[0])).POST(publisher).build();
            var answer = client.send(request, BodyHandlers.ofByteArray());
            System.out.println(answer.statusCode() + " " + answer.headers().firstValue("x-asked").orElse("")
                + " " + Arrays.equals(answer.body(), body));
        }
    }
}
"""


class Cut(BoundedProtocol):
    """Gets what comes on a connection in pieces that end at ``cuts``, wherever the network divided it."""

    cuts: ClassVar[frozenset[int]] = frozenset()
    _seen = 0

    def data_received(self, data: bytes) -> None:
        begin = self._seen
        self._seen += len(data)
        ends = sorted(cut - begin for cut in self.cuts if begin < cut < self._seen)
        for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
            super().data_received(data[start:end])


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with the request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    asked = f"{scope['method']} {scope['path']} {'h2' if 'http2-settings' in names(scope) else ''}".strip()
    headers = [(b"content-length", b"%d" % len(body)), (b"x-asked", asked.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def names(scope: dict[str, Any]) -> set[str]:
    return {name.decode() for name, _ in scope["headers"]}


@pytest.fixture(scope="module")
def echoing() -> Iterator[Address]:
    with serving(echo, Cut) as address:
        yield address


def read_answer(stream: io.BufferedIOBase) -> Answer:
    """One answer, of the body's declared length."""
    status = int(stream.readline().split()[1])
    fields = dict(line.rstrip().decode().split(": ", 1) for line in iter(stream.readline, b"\r\n"))
    return status, fields.get("x-asked", ""), stream.read(int(fields["content-length"]))


@dataclass(frozen=True)
class Request:
    """One that offers another protocol, or does not."""

    body: bytes
    chunked: bool
    connection: str
    upgrade: str
    version: str = "1.1"

    def encoded(self, path: str) -> bytes:
        """On the wire."""
        head = [f"POST {path} HTTP/{self.version}", "Host: x"]
        head += [f"Connection: {self.connection}"] if self.connection else []
        head += [f"Upgrade: {self.upgrade}", "HTTP2-Settings: AAEAAEAA"] if self.upgrade else []
        head.append("Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(self.body)}")
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (self.body[:7], self.body[7:]) if piece)
        return "\r\n".join([*head, "", ""]).encode() + (chunks + b"0\r\n\r\n" if self.chunked else self.body)


REQUESTS = st.builds(
    Request,
    st.binary(max_size=60) | st.just(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"),
    st.booleans(),
    st.sampled_from(["", "Upgrade, HTTP2-Settings", "upgrade", "keep-alive, Upgrade"]),
    st.sampled_from(["", "h2c", "websocket", "TLS/1.0, h2c"]),
)


@given(st.lists(REQUESTS, min_size=1, max_size=3), st.frozensets(st.integers(1, 800), max_size=12) | st.just(None))
@settings(max_examples=150)
def test_an_offered_upgrade_is_ignored_however_the_bytes_are_split(
    echoing: Address, requests: list[Request], cuts: frozenset[int] | None
) -> None:
    # None: every byte comes by itself.
    Cut.cuts = frozenset(range(2000)) if cuts is None else cuts
    sent = b"".join(request.encoded(f"/{number}") for number, request in enumerate(requests))
    with socket.create_connection(echoing, timeout=30) as connection, connection.makefile("rb") as stream:
        connection.sendall(sent)
        found = [read_answer(stream) for _ in requests]
    offers = ["h2" if request.upgrade else "" for request in requests]
    expected = [f"POST /{number} {offer}".strip() for number, offer in enumerate(offers)]
    assert found == [(200, asked, request.body) for asked, request in zip(expected, requests, strict=True)]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upgrade_before_the_end_of_a_connection(echoing: Address, version: str, chunked: bool) -> None:
    Cut.cuts = frozenset()
    request = Request(b"body", chunked, "close, Upgrade", "h2c", version)
    with socket.create_connection(echoing, timeout=30) as connection, connection.makefile("rb") as stream:
        connection.sendall(request.encoded("/"))
        assert read_answer(stream) == (200, "POST / h2", b"body")
        assert stream.read() == b""


@pytest.mark.parametrize("target", ["x:443", "http://x:443/", "/"])
def test_a_tunnel_is_refused(echoing: Address, target: str) -> None:
    with socket.create_connection(echoing, timeout=30) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"CONNECT %b HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" % target.encode())
        assert stream.read().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"]])
@pytest.mark.parametrize("body", [b"short", LONG], ids=["short", "long"])
def test_curl_that_offers_http_2(echoing: Address, body: bytes, options: list[str]) -> None:
    Cut.cuts = frozenset()
    command = [program("curl"), "--silent", "--fail", "--include", "--http2", "--data-binary", "@-", *options]
    ended = subprocess.run(
        [*command, "http://{}:{}/".format(*echoing)], input=body, capture_output=True, timeout=120, check=True
    )
    head, _, answered = ended.stdout.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    assert b"x-asked: POST / h2" in head
    assert answered == body


def test_java_s_own_client(echoing: Address, tmp_path: Path) -> None:
    program("javac", "a JDK")
    Cut.cuts = frozenset()
    (tmp_path / "Echo.java").write_text(JAVA)
    command = [program("java", "a JDK"), str(tmp_path / "Echo.java"), "http://{}:{}/".format(*echoing)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
    assert said.splitlines() == ["200 POST / h2 true"] * 2
