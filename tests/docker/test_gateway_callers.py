"""Who asks through the gateway: client certificates, names passed on, and no caller with more than its share."""

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.keys import hash_key
from cxr_edge.service import Away, Refused, ScoringService
from tests.app.client.command_line import score
from tests.docker.cluster import START, gateway, nginx_installed
from tests.support.gates import Gated, gated
from tests.support.polling import until
from tests.support.ports import free_port
from tests.support.problems import assert_problem

pytestmark = pytest.mark.skipif(not nginx_installed(), reason="nginx is not installed")

KEY = "the gateway's own key"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def issue(folder: Path, name: str, subject: str) -> tuple[str, str]:
    """The paths of a client's certificate by the authority in ``folder``, and of its key."""
    openssl(folder, "req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    signed = ["-CA", "clients.crt", "-CAkey", "clients.key", "-CAcreateserial", "-days", "2"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signed)
    return str(folder / f"{name}.crt"), str(folder / f"{name}.key")


@dataclass(frozen=True)
class Front:
    """A gateway that asks for certificates, before a service that has a key for it."""

    live: Gated
    entries: object
    port: int
    folder: Path

    def client(self, certificate: tuple[str, str] | None) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.folder / "tls.crt")
        if certificate:
            trust.load_cert_chain(*certificate)
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=trust, timeout=60)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder, tls, port = tmp_path_factory.mktemp("gateway"), tmp_path_factory.mktemp("tls"), free_port()
    own = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    openssl(tls, "req", "-x509", *CURVE, "-keyout", "tls.key", "-out", "tls.crt", *own)
    openssl(tls, "req", "-x509", *CURVE, "-keyout", "clients.key", "-out", "clients.crt", "-subj", "/CN=our authority")
    environment = {"TLS_DIR": str(tls), "TLS_PORT": str(port), "SERVICE_KEY": KEY, "PER_CALLER": "1"}
    with (
        gated(api_keys=(f"gateway:{hash_key(KEY)};vouches", f"ris:{hash_key('ris')}")) as live,
        gateway(folder, ["{}:{}".format(*live.address)], **environment) as ready,
    ):
        yield Front(live, ready.entries, port, tls)


@pytest.mark.parametrize(
    ("subject", "caller"),
    [
        ("/O=Hospital/CN=reading-room-3", "reading-room-3"),
        ("/CN=reading-room-3/O=Hospital", "reading-room-3"),
        ("/CN=a name with blanks", "gateway"),
        ("/O=Hospital", "gateway"),
        # The comma is part of the organisation's name.
        ("/O=Hospital,CN=ris/OU=x", "gateway"),
    ],
    ids=["name last", "name first", "no plain name", "no name", "a name in a name"],
)
def test_a_certificates_name_is_the_caller(front: Front, phantom_png: bytes, subject: str, caller: str) -> None:
    certificate = issue(front.folder, "client", subject)
    said = {"x-caller": "somebody-else", "x-api-key": "ris", "authorization": "Bearer ris"}
    with front.client(certificate) as client:
        answer = client.post("/score?overlay=false", content=phantom_png, headers=said)
    assert (answer.status_code, answer.headers["x-caller"]) == (200, caller)
    last = front.entries()[-1]
    assert last["caller"] == caller


def test_without_a_certificate_of_the_authority_nobody_gets_in(front: Front, phantom_png: bytes) -> None:
    with front.client(None) as client:
        assert_problem(client.post("/score", content=phantom_png, headers={"x-api-key": "ris"}), 401, "unauthorised")
        assert_problem(client.get("/health/ready"), 401, "unauthorised")
    strange = front.folder / "strange"
    strange.mkdir()
    openssl(strange, "req", "-x509", *CURVE, "-keyout", "own.key", "-out", "own.crt", "-subj", "/CN=reading-room-3")
    with front.client((str(strange / "own.crt"), str(strange / "own.key"))) as client:
        assert_problem(client.post("/score", content=phantom_png), 401, "unauthorised")


@pytest.mark.parametrize("subject", ["/CN=reading-room-3", "/CN=a name with blanks"])
def test_another_key_does_not_make_the_holder_of_a_certificate_another_caller(
    front: Front, phantom_png: bytes, subject: str
) -> None:
    with front.client(issue(front.folder, "client", subject)) as client:

        def post(key: str) -> httpx.Response:
            return client.post("/score?overlay=false", content=phantom_png, headers={"x-api-key": key})

        front.live.lungs.gate.clear()
        first = front.live.pool.submit(post, "one")
        until(lambda: front.live.in_flight() == 1, "a place taken")
        assert_problem(post("another"), 503, "overloaded")
        front.live.lungs.gate.set()
        assert first.result(60).status_code == 200


def test_the_edge_and_the_command_line_have_certificates_too(
    front: Front, tmp_path: Path, phantom_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = issue(front.folder, "ours", "/CN=ours")
    pem = tmp_path / "ours.pem"
    pem.write_text(Path(certificate).read_text() + Path(key).read_text())
    url, trusted = f"https://127.0.0.1:{front.port}", str(front.folder / "tls.crt")
    with pytest.raises(Refused, match="unsupported_dicom"):
        ScoringService(url, ca=trusted, certificate=str(pem)).ask(["seg"], phantom_png)
    with pytest.raises(Away, match="401"):
        ScoringService(url, ca=trusted).ask(["seg"], phantom_png)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "phantom.png").write_bytes(phantom_png)
    monkeypatch.setenv("SSL_CERT_FILE", trusted)
    assert score(tmp_path / "in", tmp_path / "with.csv", url, "--certificate", str(pem)).exit_code == 0
    refused = score(tmp_path / "in", tmp_path / "without.csv", url)
    assert refused.exit_code == 2
    assert "401 unauthorised" in refused.stderr
    assert [entry["caller"] for entry in front.entries()].count("ours") == 2


def test_without_a_key_of_its_own_such_a_gateway_does_not_start(front: Front, tmp_path: Path) -> None:
    environment = {
        "REPLICAS": "127.0.0.1:9",
        "WORK": str(tmp_path),
        "TLS_DIR": str(front.folder),
        "PATH": "/usr/bin:/bin",
    }
    ended = subprocess.run([START], env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "SERVICE_KEY" in ended.stderr


def test_a_caller_cannot_take_all_places(tmp_path: Path, phantom_png: bytes) -> None:
    with gated() as live, gateway(tmp_path, ["{}:{}".format(*live.address)], PER_CALLER="1") as ready:

        def post(**headers: str) -> "httpx.Response":
            return httpx.post(f"{ready.url}/score?overlay=false", content=phantom_png, headers=headers, timeout=60)

        live.lungs.gate.clear()
        first = live.pool.submit(post)
        until(lambda: live.in_flight() == 1, "a place taken")
        refused = post()
        assert_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        # The same address, but callers of their own.
        others = [live.pool.submit(post, **{"x-api-key": "a"}), live.pool.submit(post, authorization="Bearer b")]
        until(lambda: live.in_flight() == 3, "places for others")
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in (first, *others)] == [200] * 3
