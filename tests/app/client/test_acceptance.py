"""A running service judged over a pack: what it says, and what it means when it does not."""

from collections.abc import Callable
from math import isnan
from pathlib import Path

import httpx
import pytest

from app.client.acceptance import RemoteService, main
from app.client.answers import NotTheService
from app.client.sending import Stopped, Unanswered
from app.version import VERSION
from models.pack import Pack, PackError
from tests.models.evaluation.tables import write_scored_pack
from tests.support.server import Server

PROBLEM = {"content-type": "application/problem+json"}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return Pack(write_scored_pack(tmp_path / "pack"))


def service_that(answer: Callable[[httpx.Request], httpx.Response], patience: float = 0.0) -> RemoteService:
    client = httpx.Client(base_url="http://service.test", transport=httpx.MockTransport(answer))
    return RemoteService(client, patience=patience)


@pytest.mark.slow
def test_a_service_says_what_its_weights_say(server: Server, pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "service.html"
    asked = ["--url", server.url, "--data", str(pack.cases[0].root), "--split", "val", "--resamples", "50"]
    assert main([*asked, "--out", str(out), "--worst", "2", "--parallel", "2"]) == 0
    assert f"{server.url}, version {VERSION}" in out.read_text()
    assert len(out.with_suffix(".csv").read_text().splitlines()) == 4
    case = pack.cases[0]
    with httpx.Client(base_url=server.url) as client:
        service = RemoteService(client)
        assert service.describe()["Threshold"]
        found = service.analyse(case)
        assert found.lungs.shape == found.disease.shape == case.pixels.shape
        assert found.score is None or found.score == sum(share > found.threshold for share in found.shares)
        assert RemoteService(client, threshold=0.99).analyse(case).threshold == 0.99


def test_a_full_service_is_asked_again(pack: Pack) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) == 1:
            return httpx.Response(503, headers={**PROBLEM, "retry-after": "0"}, json={"code": "overloaded"})
        return httpx.Response(422, headers=PROBLEM, json={"code": "unreadable_image"})

    assert service_that(answer, patience=30).analyse(pack.cases[0]).flags == ("unreadable_image",)
    assert asked == ["/segment", "/segment"]


def test_a_stranger_is_refused(pack: Pack) -> None:
    service = service_that(lambda request: httpx.Response(200, json=["a list"]))
    with pytest.raises(NotTheService, match="not a JSON object"):
        service.describe()
    with pytest.raises(NotTheService, match="not a JSON object"):
        service.analyse(pack.cases[0])
    with pytest.raises(NotTheService, match="cannot be understood"):
        service_that(lambda request: httpx.Response(200, json={"service": "0.1.0"})).describe()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://127.0.0.1:9"])
def test_addresses_that_lead_nowhere_end_the_command(url: str, pack: Pack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", url, "--data", str(pack.cases[0].root)]) == 2
    said = capsys.readouterr().err
    assert said.strip() and "Traceback" not in said


def test_a_refused_radiograph_has_no_score_and_its_code(pack: Pack) -> None:
    found = service_that(lambda _: httpx.Response(422, headers=PROBLEM, json={"code": "unreadable_image"})).analyse(
        pack.cases[0]
    )
    assert found.score is None and found.flags == ("unreadable_image",)
    assert all(isnan(share) for share in found.shares)
    assert not found.lungs.any() and found.lungs.shape == pack.cases[0].pixels.shape


def test_a_file_that_no_reader_opens_is_named(pack: Pack) -> None:
    (pack.cases[1].root / "images" / f"{pack.cases[1].id}.jpg").write_bytes(b"no picture")
    service = service_that(lambda _: httpx.Response(422, headers=PROBLEM, json={"code": "unreadable_image"}))
    with pytest.raises(PackError, match="none that can be read"):
        service.analyse(pack.cases[1])


@pytest.mark.parametrize(
    ("status", "ready", "raised"), [(401, True, Stopped), (502, False, Stopped), (504, True, Unanswered)]
)
def test_what_is_no_word_on_the_radiograph_ends_the_command(
    pack: Pack, status: int, ready: bool, raised: type[Exception]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health/ready":
            return httpx.Response(200 if ready else 503)
        return httpx.Response(status)

    with pytest.raises(raised):
        service_that(answer).analyse(pack.cases[0])
