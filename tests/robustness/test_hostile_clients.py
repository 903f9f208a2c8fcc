"""Clients that mean ill, over real sockets: a stable answer or a closed connection, and others hardly notice."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from benchmarks.robustness.seeds import seeds
from benchmarks.robustness.service import serving
from benchmarks.robustness.wire import CLOSED, LEFT, head, request
from benchmarks.uploads import jpeg
from tests.robustness.bombs import BOMBS
from tests.robustness.clients import (
    KEPT,
    Client,
    begins,
    drips,
    floods,
    goes_on,
    idles,
    leaves_after,
    pipelines,
    posts_form,
    reads_nothing,
    sends,
    uploads,
)
from tests.robustness.swarm import FLOOR_MS, Others, Swarm, attack, wait_idle
from tests.support.processes import open_files
from tests.support.server import Server

IDLE: Final = 1000
DEADLINE_SECONDS: Final = "2"
PLACES: Final = 64
PNG: Final = seeds()["PNG gray"]

FORM_FAULT = frozenset({"400 invalid_parameter"})
NO_HTTP = frozenset({"400 invalid_request", CLOSED})
HEAD_TOO_LARGE = frozenset({"431 headers_too_large", CLOSED})
DEADLINE = frozenset({"504 deadline_exceeded"})
UNREADABLE = frozenset({"422 unreadable_image"})
UPLOAD_TOO_LARGE = frozenset({"413 upload_too_large"})
GONE = frozenset({LEFT})
ANSWERED = frozenset({"200"})


@dataclass(frozen=True)
class Attack:
    """Hostile clients of one kind.

    Attributes:
        outcomes: those that are in order.
        count: clients at once.
        pause: seconds that a client waits before it comes again.
        mib: what the service may grow by meanwhile.
        floor_ms: p99 of others that they may always cause.
    """

    client: Client
    outcomes: frozenset[str]
    count: int = 16
    pause: float = 0.5
    mib: float = 100
    floor_ms: float = FLOOR_MS


def part(name: str, content: bytes, extra: bytes = b"") -> bytes:
    """A part of a form whose boundary is XX."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="a.png"\r\n'.encode()
    return b"--XX\r\n" + disposition + extra + b"\r\n" + content + b"\r\n"


LIVE: Final = "/health/live"
GET: Final = head(LIVE, "GET")
CHUNKED: Final = head(Transfer_Encoding="chunked")
LARGE_ANSWER: Final = request(jpeg(1200, 1200), "/segment?overlay_format=png")
NESTED: Final = part("file", b"--YY\r\n\r\n" * 20_000, b"Content-Type: multipart/mixed; boundary=YY\r\n")

ATTACKS: Final = {
    "a body that drips": Attack(drips, DEADLINE, count=24),
    "a body shorter than its length": Attack(sends(head(Content_Length=5000) + PNG[:100]), DEADLINE),
    "a body shorter than its length, then gone": Attack(leaves_after(head(Content_Length=5000) + PNG[:100]), GONE),
    "a body longer than its length": Attack(sends(head(Content_Length=100) + PNG), UNREADABLE | NO_HTTP),
    "a length that is none": Attack(sends(head(Content_Length="0x10") + PNG), NO_HTTP),
    "two lengths": Attack(sends(b"POST /score HTTP/1.1\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n"), NO_HTTP),
    "a length and chunks": Attack(sends(head(Content_Length=5, Transfer_Encoding="chunked") + b"0\r\n\r\n"), NO_HTTP),
    "chunks cut off": Attack(leaves_after(CHUNKED + b"1000\r\nonly this"), GONE),
    "chunks without an end": Attack(sends(CHUNKED + b"4\r\nonly\r\n"), DEADLINE),
    "chunks of no size": Attack(sends(CHUNKED + b"zz\r\nonly\r\n"), NO_HTTP),
    "chunks beyond the limit": Attack(
        floods(CHUNKED, b"400\r\n" + bytes(1024) + b"\r\n", 96 << 20), UPLOAD_TOO_LARGE, 1, 1.0, 200
    ),
    "no HTTP at all": Attack(sends(b"\x16\x03\x01\0\xff" * 50), NO_HTTP),
    "connections that say nothing": Attack(idles, frozenset({KEPT, CLOSED}), IDLE),
    "connections that never end their first line": Attack(begins, frozenset({KEPT, CLOSED}), IDLE),
    "thousands of parts": Attack(posts_form(part("p", b"") * 5000 + b"--XX--\r\n"), FORM_FAULT),
    "a form within a form": Attack(posts_form(NESTED + b"--XX--\r\n"), frozenset({"415 unsupported_format"})),
    "a form without its end": Attack(posts_form(part("file", PNG)), FORM_FAULT),
    "delimiters that are almost right": Attack(posts_form(b"--XX\r\n\r\n" + b"\r\n--XY" * 100_000), FORM_FAULT),
    "a part with a giant header": Attack(posts_form(part("file", PNG, b"A: " + b"a" * 2**20 + b"\r\n")), FORM_FAULT),
    "a part with many headers": Attack(posts_form(part("file", PNG, b"A: a\r\n" * 50_000)), FORM_FAULT),
    "a giant boundary": Attack(uploads(PNG, "multipart/form-data; boundary=" + "X" * 30_000), FORM_FAULT),
    "thousands of headers": Attack(sends(GET[:-2] + b"A: a\r\n" * 50_000 + b"\r\n"), HEAD_TOO_LARGE, 4),
    "a header of a megabyte": Attack(sends(head(LIVE, "GET", A="a" * 2**20)), HEAD_TOO_LARGE),
    "a header without an end": Attack(floods(GET[:-2] + b"A: ", b"a", 16 << 20), HEAD_TOO_LARGE),
    "a path without an end": Attack(floods(b"GET /", b"a", 16 << 20), HEAD_TOO_LARGE),
    "thousands of trailers": Attack(floods(CHUNKED + b"0\r\n", b"A: a\r\n", 16 << 20), HEAD_TOO_LARGE, 4),
    "lines before a request": Attack(floods(b"", b"\r\n", 16 << 20), HEAD_TOO_LARGE | NO_HTTP),
    # What they ask for is honest work, most of a second for two slow processors, before they do not read it.
    "clients that do not read": Attack(reads_nothing(LARGE_ANSWER), frozenset({KEPT}), 8, 1.0, 400, floor_ms=400),
    "requests on each other's heels": Attack(pipelines(GET, 200), ANSWERED, 2, 1.0),
}
ENDLESS: Final = {
    "a trailer": CHUNKED + b"0\r\nA: ",
    "a chunk's size": CHUNKED + b"0",
    "a chunk's extension": CHUNKED + b"5;",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a short deadline, and descriptors for a thousand idle connections."""
    with (
        open_files(4 * IDLE),
        serving(tmp_path_factory.mktemp("hostile"), CXR_REQUEST_TIMEOUT_S=DEADLINE_SECONDS) as ready,
    ):
        yield ready


@pytest.fixture(scope="module")
def others(service: Server) -> Iterator[Others]:
    crowd = Others()
    # What the service keeps after its first requests is no attack's.
    crowd.p99_ms(service.address[1], 2.0)
    yield crowd
    crowd.close()


def withstood(server: Server, others: Others, tried: Attack) -> None:
    """Plays an attack and checks all that it may not do."""
    found = attack(server, others, tried.client, tried.count, tried.pause, tried.floor_ms)
    if found.harmed_others():
        # What a neighbour on the machine does happens once, what the attack does happens again.
        found = attack(server, others, tried.client, tried.count, tried.pause, tried.floor_ms)
    assert found.outcomes
    assert set(found.outcomes) <= tried.outcomes, found
    assert not found.harmed_others(), found
    assert found.grown_mib < tried.mib, found
    assert server.client.get("/health/ready").status_code == 200
    assert not [line for line in server.log_lines() if line["message"] == "bug"]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_withstood(service: Server, others: Others, name: str) -> None:
    withstood(service, others, ATTACKS[name])


# test_expensive_files.py gives all of them to the decoder itself.
@pytest.mark.parametrize("name", ["PNG that inflates to 256 MiB", "JPEG of tiny segments", "DICOM that inflates"])
def test_a_bomb_does_not_go_off(service: Server, others: Others, name: str) -> None:
    withstood(service, others, Attack(uploads(BOMBS[name]()), ANSWERED | UNREADABLE, count=2, mib=200))


@pytest.mark.parametrize("name", ENDLESS)
def test_what_frames_a_body_has_an_end(service: Server, others: Others, name: str) -> None:
    client = floods(ENDLESS[name], b"0", 16 << 20, heeds=False)
    withstood(service, others, Attack(client, HEAD_TOO_LARGE | NO_HTTP, count=2))


def test_a_body_that_goes_on_after_its_answer_is_cut_off(service: Server, others: Others) -> None:
    withstood(service, others, Attack(goes_on, frozenset({CLOSED}), count=8))


def test_slow_bodies_that_take_all_places_lose_them_at_the_deadline(service: Server) -> None:
    with Swarm(drips, service.address, PLACES, pause=0.0) as swarm:
        refused = httpx.post(f"{service.url}/score", content=PNG, timeout=30)
        live = httpx.get(f"{service.url}/health/live", timeout=30)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert live.status_code == 200
    assert set(swarm.outcomes) <= DEADLINE | {"503 overloaded"}
    wait_idle(service)
    assert service.client.post("/score", content=PNG).status_code == 200
