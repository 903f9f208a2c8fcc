"""The edge to a PACS: the real Orthanc, the real service, and dcmtk's storescu, findscu and movescu."""

import hashlib
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docker.cluster import Replica
from tests.docker.orthanc_answers import PROBLEM, listening, says
from tests.docker.orthanc_edge import PEER, RESULT_SECONDS, STRANGER, Edge, edge, radiograph, skip_without_orthanc
from tests.support.polling import until
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.server import Server

ALL = Counter({"CR": 1, "SEG": 1, "SR": 1, "OT": 1})
"""A radiograph, and its segmentation, report and secondary capture."""
ROUTE = "/reports"
NOBODY = "http://127.0.0.1:9"
"""The discard port: refused."""
pytestmark = pytest.mark.usefixtures("_installed")


@pytest.fixture(scope="session")
def _installed() -> None:
    skip_without_orthanc()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Replica]:
    """A service that is not yet started."""
    folder = tmp_path / "service"
    folder.mkdir()
    replica = Replica(folder, free_port(), {})
    yield replica
    if hasattr(replica, "server"):
        replica.end()


def _url(service: Replica) -> str:
    return f"http://127.0.0.1:{service.port}"


def _asked(server: Server) -> Counter[str]:
    """How often each route gave its word; 503 and 504, of a machine that is too slow, are none."""
    lines = (line for line in server.log_lines() if line.get("message") == "answered" and line["status"] in (200, 422))
    return Counter(str(line["route"]) for line in lines)


def _urgencies(server: Server) -> list[object]:
    """Of the radiographs that were scored, in order."""
    return [line["urgency"] for line in server.log_lines() if line.get("route") == ROUTE and line["status"] == 200]


def test_results_come_into_the_radiographs_study_once(archive: Edge, server: Server) -> None:
    before, asked = archive.count(), _asked(server)
    first, later = radiograph(), radiograph()
    assert archive.store(first) == 0
    archive.wait_for_status(first)
    # The change log is read in order: when the later one is done, the first one's results were looked at, and left.
    assert archive.store(later) == 0
    archive.wait_for_status(later)
    assert archive.series(first.StudyInstanceUID) == ALL
    assert archive.count() - before == 2 * ALL.total()
    assert _asked(server) - asked == Counter({ROUTE: 2})
    # They are no backlog.
    assert _urgencies(server)[-2:] == [3, 3]


def test_a_viewer_retrieves_the_study_whole(archive: Edge) -> None:
    sent = radiograph(PatientName="Ångström^Änne", SpecificCharacterSet="ISO_IR 192")
    archive.store(sent)
    archive.wait_for_status(sent)
    found = {dataset.Modality: dataset for dataset in archive.retrieve(sent.StudyInstanceUID)}
    assert set(found) == set(ALL)
    assert {str(dataset.PatientName) for dataset in found.values()} == {str(sent.PatientName)}
    assert {dataset.PatientID for dataset in found.values()} == {sent.PatientID}
    (referenced,) = found["SEG"].ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == sent.SeriesInstanceUID


def test_sent_again_it_is_neither_scored_nor_stored_again(archive: Edge, server: Server) -> None:
    sent, later = radiograph(), radiograph()
    archive.store(sent)
    archive.wait_for_status(sent)
    before, asked = archive.count(), _asked(server)
    archive.store(sent)
    archive.store(later)
    archive.wait_for_status(later)
    assert archive.count() - before == ALL.total()
    assert (_asked(server) - asked)[ROUTE] == 1


def test_set_to_pending_it_is_done_again_and_nothing_is_doubled(archive: Edge, server: Server) -> None:
    sent = radiograph()
    archive.store(sent)
    archive.wait_for_status(sent)
    before, asked = archive.count(), _asked(server)
    archive.rest.put(f"/instances/{archive.instance(sent)}/metadata/cxr-status", content="pending").raise_for_status()
    archive.wait_for_status(sent)
    assert archive.count() == before
    assert _asked(server) - asked == Counter({ROUTE: 1})


@pytest.mark.parametrize(
    ("modality", "header"),
    [
        ("CT", {}),
        ("OT", {}),
        ("CR", {"BodyPartExamined": "HAND"}),
    ],
    ids=["CT", "secondary capture", "hand"],
)
def test_what_is_no_chest_radiograph_is_not_sent(
    archive: Edge, server: Server, modality: str, header: dict[str, str]
) -> None:
    asked = _asked(server)
    other, later = radiograph(modality, **header), radiograph()
    assert archive.store(other) == 0
    archive.store(later)
    archive.wait_for_status(later)
    assert archive.status(other) is None
    assert (_asked(server) - asked)[ROUTE] == 1


def test_digitised_films_are_sent_where_wanted_and_own_secondary_captures_are_not(
    server: Server, tmp_path: Path
) -> None:
    asked = _asked(server)
    with edge(tmp_path, server.url, CXR_PACS_MODALITIES="CR, ot") as started:
        film, later = radiograph("OT"), radiograph()
        started.store(film)
        started.wait_for_status(film)
        started.store(later)
        started.wait_for_status(later)
        assert started.series(film.StudyInstanceUID) == Counter({"OT": 2, "SEG": 1, "SR": 1})
        assert started.count() == 2 * ALL.total()
    assert _asked(server) - asked == Counter({ROUTE: 2})


def test_a_lateral_gets_a_report_without_a_score(archive: Edge) -> None:
    lateral = radiograph(ViewPosition="LL")
    archive.store(lateral)
    archive.wait_for_status(lateral)
    (report,) = [found for found in archive.retrieve(lateral.StudyInstanceUID) if found.Modality == "SR"]
    assert "not_frontal" in report.to_json()
    assert "severity_score" not in report.to_json()


def test_what_the_service_refuses_is_noted_and_not_sent_again(archive: Edge, server: Server) -> None:
    asked = _asked(server)
    broken, later = radiograph(side=256), radiograph()
    broken.PixelData = broken.PixelData[:1000]
    archive.store(broken)
    archive.store(later)
    archive.wait_for_status(later)
    assert str(archive.status(broken)).split(":")[0] == "refused"
    assert _asked(server) - asked == Counter({ROUTE: 2})
    assert archive.series(broken.StudyInstanceUID) == Counter({"CR": 1})


def test_a_stranger_may_not_store(archive: Edge) -> None:
    before = archive.count()
    assert archive.store(radiograph(), STRANGER) != 0
    assert archive.count() == before


def test_its_web_page_asks_for_the_password(archive: Edge) -> None:
    assert httpx.get(f"{archive.rest.base_url}/system").status_code == httpx.codes.UNAUTHORIZED


def test_nothing_is_lost_or_doubled_while_service_and_orthanc_are_away(tmp_path: Path, service: Replica) -> None:
    sent = [radiograph() for _ in range(3)]
    with edge(tmp_path, _url(service), CXR_PACS_LONGEST_WAIT_S="0.1") as started:
        assert [started.store(dataset) for dataset in sent] == [0, 0, 0]
        started.wait_for_status(sent[0], status="pending")
        started.end(signal.SIGKILL)
        started.start()
        started.end(signal.SIGTERM)
        assert started.process.returncode == 0
        started.start()
        assert started.status(sent[0]) == "pending"
        # Each in its turn lets the others go first.
        last = f"{started.instance(sent[2])}: tried again later"
        until(lambda: last in started.log.read_text(), "the edge's complaint", RESULT_SECONDS)
        service.start()
        service.wait_ready()
        started.wait_for_status(*sent)
        assert {started.count()} == {3 * ALL.total()}
        assert _urgencies(service.server) == [6, 6, 6]
        assert [started.series(dataset.StudyInstanceUID) for dataset in sent] == [ALL] * 3
        # Another start finds nothing to do.
        started.end()
        asked = _asked(service.server)
        started.start()
        later = radiograph()
        started.store(later)
        started.wait_for_status(later)
        assert started.count() == 4 * ALL.total()
        assert _asked(service.server) - asked == Counter({ROUTE: 1})


def test_a_service_that_dies_in_the_middle_of_a_request_is_asked_again(tmp_path: Path, service: Replica) -> None:
    sent = radiograph()
    service.start()
    service.wait_ready()
    with edge(tmp_path, _url(service)) as started:
        service.signal(signal.SIGSTOP)
        # The sender does not wait for the service.
        assert started.store(sent) == 0
        started.wait_until_asking()
        assert started.status(sent) == "pending"
        service.signal(signal.SIGKILL)
        service.wait_ended()
        service.start()
        service.wait_ready()
        started.wait_for_status(sent)
        assert started.series(sent.StudyInstanceUID) == ALL
        assert started.count() == ALL.total()


def test_orthanc_ends_at_once_while_a_request_is_under_way(tmp_path: Path, service: Replica) -> None:
    sent = radiograph()
    service.start()
    service.wait_ready()
    with edge(tmp_path, _url(service)) as started:
        service.signal(signal.SIGSTOP)
        started.store(sent)
        started.wait_until_asking()
        started.end()
        assert started.process.returncode == 0
        service.signal(signal.SIGCONT)
        started.start()
        started.wait_for_status(sent)
        assert started.count() == ALL.total()


def test_a_wrong_key_waits_for_the_right_one(tmp_path: Path, service: Replica) -> None:
    key = "k" * 32
    service.settings = {"CXR_API_KEYS": hashlib.sha256(key.encode()).hexdigest()}
    service.start()
    service.wait_ready()
    sent = radiograph()
    with edge(tmp_path, _url(service), CXR_PACS_SERVICE_KEY="wrong") as started:
        started.store(sent)
        until(lambda: "unauthorised" in started.log.read_text(), "the edge's complaint", RESULT_SECONDS)
        assert started.status(sent) == "pending"
        started.end()
        started.settings = {"CXR_PACS_SERVICE_KEY": key}
        started.start()
        started.wait_for_status(sent)
        assert started.series(sent.StudyInstanceUID) == ALL
        assert key not in started.log.read_text()


def test_a_radiograph_without_an_answer_is_given_up_in_the_end(tmp_path: Path) -> None:
    sent = radiograph()
    with (
        listening(says("500 Internal Server Error", PROBLEM, '{"code": "internal"}')) as url,
        edge(tmp_path, url, CXR_PACS_LONGEST_WAIT_S="0.01") as started,
    ):
        started.store(sent)
        started.wait_for_status(sent, status="refused:unanswered")
        assert "given up after 20 tries: HTTP 500 internal" in started.log.read_text()
        assert started.count() == 1
        started.end()


def test_results_and_only_they_are_forwarded_also_to_a_peer_that_was_away(archive: Edge, tmp_path: Path) -> None:
    results = ALL - Counter({"CR": 1})
    first, second = radiograph(), radiograph()
    with edge(tmp_path, archive.service_url, CXR_PACS_FORWARD="viewer") as started:
        started.store(first)
        started.wait_for_status(first)
        until(lambda: "waiting for viewer" in started.log.read_text(), "the edge's complaint", RESULT_SECONDS)
        with started.peer() as folder:
            started.store(second)
            until(lambda: started.modalities(folder) == results + results, "the results at the peer", RESULT_SECONDS)
        until(lambda: started.statuses() == Counter({"done": 2 * ALL.total()}), "the results' status", RESULT_SECONDS)


def test_over_tls_only_a_trusted_peer_may_store(tmp_path: Path) -> None:
    program("openssl")
    tls = tmp_path / "tls"
    tls.mkdir()
    for name in ("tls", "viewer", "other"):
        _make_certificate(tls, name)
    shutil.copy(tls / "viewer.crt", tls / "trusted.crt")

    def options(name: str) -> list[str | Path]:
        return ["+tls", tls / f"{name}.key", tls / f"{name}.crt", "+cf", tls / "tls.crt"]

    with edge(tmp_path, NOBODY, CXR_PACS_TLS_DIR=str(tls)) as started:
        assert started.store(radiograph()) != 0
        assert started.store(radiograph(), PEER, *options("other")) != 0
        assert started.count() == 0
        assert started.store(radiograph(), PEER, *options("viewer")) == 0
        assert started.count() == 1


def _make_certificate(folder: Path, name: str) -> None:
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
    subprocess.run(["openssl", "req", *made, *files], cwd=folder, check=True, capture_output=True)


def test_settings_that_are_not_valid_end_the_start_without_the_key(tmp_path: Path) -> None:
    wrong = {"CXR_PACS_RESULTS": "seg,fhir", "CXR_PACS_SERVICE_KEY": "of-nobody"}
    with pytest.raises(RuntimeError, match="CXR_PACS_RESULTS") as refused, edge(tmp_path, NOBODY, **wrong):
        pass
    assert "of-nobody" not in str(refused.value)
