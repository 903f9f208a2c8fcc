"""The shipped nginx configuration in the real nginx."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docker.cluster import Gateway, gateway, nginx_installed
from tests.support import ROOT
from tests.support.ports import free_port
from tests.support.server import Server

pytestmark = pytest.mark.skipif(not nginx_installed(), reason="nginx is not installed")

NOBODY = "127.0.0.1:9"
"""The discard port: refused."""


@pytest.fixture(scope="module")
def front(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before one replica that is there and one that is not."""
    there = httpx.URL(server.url).netloc.decode()
    with gateway(tmp_path_factory.mktemp("gateway"), [NOBODY, there]) as ready:
        yield ready


def test_it_passes_requests_on_with_their_ids(front: Gateway, phantom_png: bytes) -> None:
    before = len(front.entries())
    for _ in range(6):
        answer = httpx.post(
            f"{front.url}/score?overlay=false",
            files={"file": phantom_png},
            headers={"x-request-id": "ris-1"},
            timeout=60,
        )
        assert answer.status_code == 200
        assert answer.json()["request_id"] == "ris-1"
    tried = [entry for entry in front.entries(before + 6) if entry["request_id"] == "ris-1"]
    assert len(tried) == 6
    # The one that is not there was tried, and then the other.
    assert any(NOBODY in str(entry["replicas"]) for entry in tried)
    assert {entry["path"] for entry in tried} == {"/score"}
    assert "overlay" not in front.log.read_text()


def test_what_operators_read_is_closed(front: Gateway) -> None:
    for path in ("/metrics", "/models"):
        assert httpx.get(front.url + path).status_code == 404
    assert httpx.get(f"{front.url}/health/ready").status_code == 200
    assert httpx.get(f"{front.url}/gateway/health").text == "ok\n"


def test_the_alerts_runbook_can_be_opened(front: Gateway) -> None:
    found = httpx.get(f"{front.url}/gateway/runbook")
    assert found.status_code == 200
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert found.text == (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_it_does_not_tell_its_version(front: Gateway) -> None:
    assert httpx.get(f"{front.url}/gateway/health").headers["server"] == "nginx"


@pytest.mark.parametrize(
    ("size", "detail"),
    [
        # Larger than the service's own limit, which the gateway lets through so that the service can say so.
        (64 * 2**20 + 2**19, "An upload may have 67108864 bytes at most"),
        (66 * 2**20, "The gateway takes no larger body"),
    ],
)
def test_a_body_over_the_limit_is_a_problem(front: Gateway, size: int, detail: str) -> None:
    answer = httpx.post(f"{front.url}/score", content=bytes(size), timeout=60)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["detail"]) == ("upload_too_large", detail)


@pytest.mark.parametrize(("size", "status"), [(2 * 2**20, 503), (3 * 2**20, 413)])
def test_its_body_limit_follows_the_services(tmp_path: Path, size: int, status: int) -> None:
    with gateway(tmp_path, [NOBODY], CXR_MAX_UPLOAD_MB="1.5") as small:
        assert httpx.post(f"{small.url}/score", content=bytes(size), timeout=60).status_code == status


def test_its_patience_follows_the_services_deadline(tmp_path: Path) -> None:
    with gateway(tmp_path, [NOBODY], CXR_REQUEST_TIMEOUT_S="2.5"):
        limits = (tmp_path / "gateway" / "generated" / "limits.conf").read_text()
    assert "proxy_read_timeout 7500ms;" in limits


def test_uploads_and_answers_touch_no_disk(front: Gateway, server: Server, phantom_png: bytes) -> None:
    folder = front.log.parent / "gateway" / "temporary"
    upload = phantom_png + bytes(8 * 2**20)
    httpx.post(f"{front.url}/score", content=upload, timeout=60)
    httpx.post(f"{front.url}/segment?overlay_format=png", content=phantom_png, timeout=60)
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert "temporary file" not in front.log.read_text()


def test_with_nobody_behind_it_the_answer_is_503_with_retry_after(tmp_path: Path, phantom_png: bytes) -> None:
    with gateway(tmp_path, [NOBODY]) as alone:
        for _ in range(3):
            answer = httpx.post(f"{alone.url}/score", content=phantom_png, timeout=60)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["code"] == "not_ready"


def test_with_certificates_it_speaks_tls_and_plain_http_redirects(
    server: Server, tmp_path: Path, phantom_png: bytes
) -> None:
    tls, port = tmp_path / "tls", free_port()
    tls.mkdir()
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    made += ["-keyout", "tls.key", "-out", "tls.crt"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", *made, *named],
        cwd=tls,
        check=True,
        capture_output=True,
    )
    there = httpx.URL(server.url).netloc.decode()
    trust = ssl.create_default_context(cafile=tls / "tls.crt")
    with gateway(tmp_path, [there], TLS_DIR=str(tls), TLS_PORT=str(port)) as front:
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=60) as client:
            answer = client.post("/score?overlay=false", content=phantom_png)
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        plain = httpx.get(f"{front.url}/score")
        assert plain.status_code == 308
        assert plain.headers["location"] == f"https://127.0.0.1:{port}/score"
