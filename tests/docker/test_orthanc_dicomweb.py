"""DICOMweb at the edge: a radiograph is stowed by ``dicomweb-client``, and its results are found and fetched there."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from cxr_edge.service import RESULTS, ScoringService
from tests.docker.orthanc_edge import (
    DICOMWEB_PLUGIN,
    PASSWORD,
    PYTHON_PLUGIN,
    RESULT_SECONDS,
    Edge,
    edge,
    radiograph,
    skip_without_orthanc,
)
from tests.support.dicoms import write
from tests.support.polling import until
from tests.support.server import Server

ALL = {"CR", "SEG", "SR", "OT"}
"""A radiograph, and its segmentation, report and secondary capture."""
DICOM_PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture(scope="module")
def archive(archive: Edge) -> Edge:
    """The shared edge, where DICOMweb is installed."""
    if not DICOMWEB_PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed")
    return archive


@pytest.fixture
def client(archive: Edge) -> Iterator[DICOMwebClient]:
    """With the password of the edge."""
    with create_session_from_user_pass("edge", PASSWORD) as session:
        session.trust_env = False
        yield DICOMwebClient(f"{archive.rest.base_url}/dicom-web", session, timeout=60)


def _stow(client: DICOMwebClient, *sent: Dataset) -> list[str]:
    """``STOW-RS``; the SOP Instance UIDs of what was stored."""
    # The client writes a preamble only for what was read from a file with one.
    answer = client.store_instances([dcmread(BytesIO(write(dataset))) for dataset in sent])
    return [str(item.ReferencedSOPInstanceUID) for item in answer.ReferencedSOPSequence]


def _found(client: DICOMwebClient, study: str) -> dict[str, Dataset]:
    """``QIDO-RS``: the instances of a study, by modality."""
    answers = [Dataset.from_json(answer) for answer in client.search_for_instances(study, fields=["Modality"])]
    found = {str(answer.Modality): answer for answer in answers}
    assert len(found) == len(answers)
    return found


def _fetched(archive: Edge, found: Dataset) -> bytes:
    """``WADO-RS``: the file of one instance, as it is stored."""
    path = f"studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}/instances/{found.SOPInstanceUID}"
    answer = archive.rest.get(f"/dicom-web/{path}", headers={"Accept": DICOM_PARTS}).raise_for_status()
    boundary = answer.content.split(b"\r\n", 1)[0]
    _, part, rest = answer.content.split(boundary)
    assert rest.startswith(b"--")
    return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")


def test_what_is_stowed_comes_back_with_its_results(archive: Edge, client: DICOMwebClient, server: Server) -> None:
    sent = radiograph()
    assert _stow(client, sent) == [sent.SOPInstanceUID]
    study = str(sent.StudyInstanceUID)
    until(lambda: set(_found(client, study)) == ALL, "the results in QIDO-RS", RESULT_SECONDS)
    found = _found(client, study)
    assert found["CR"].SOPInstanceUID == sent.SOPInstanceUID
    assert len({answer.SeriesInstanceUID for answer in found.values()}) == len(ALL)

    # What is fetched is what the service gives for this file, byte for byte.
    radiographs_file = _fetched(archive, found["CR"])
    assert dcmread(BytesIO(radiographs_file)) == sent
    results = ScoringService(server.url).ask(RESULTS, radiographs_file)
    assert [_fetched(archive, found[modality]) for modality in ("SEG", "SR", "OT")] == results
    series, instance = str(found["SEG"].SeriesInstanceUID), str(found["SEG"].SOPInstanceUID)
    segmentation = client.retrieve_instance(study, series, instance)
    assert segmentation == dcmread(BytesIO(results[0]))
    assert segmentation.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_patients_and_modalities_are_found_and_do_not_reach_the_log(archive: Edge, client: DICOMwebClient) -> None:
    sent = radiograph(PatientName="Nobody^Known", PatientID="NOBODY-1")
    _stow(client, sent)
    archive.wait_for_status(sent)
    (study,) = client.search_for_studies(search_filters={"PatientID": "NOBODY-1"})
    assert Dataset.from_json(study).StudyInstanceUID == sent.StudyInstanceUID
    for modality in ALL:
        (series,) = client.search_for_series(str(sent.StudyInstanceUID), search_filters={"Modality": modality})
        assert Dataset.from_json(series).Modality == modality
    assert "nobody" not in archive.log.read_text().casefold()


def test_stowed_again_nothing_is_doubled(archive: Edge, client: DICOMwebClient) -> None:
    sent, later = radiograph(), radiograph()
    _stow(client, sent)
    archive.wait_for_status(sent)
    before = archive.count()
    _stow(client, sent, later)
    archive.wait_for_status(later)
    assert archive.count() - before == len(ALL)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/dicom-web/studies"), ("GET", "/dicom-web/studies"), ("GET", "/dicom-web/servers")],
)
def test_the_password_is_asked_for(archive: Edge, method: str, path: str) -> None:
    address = f"{str(archive.rest.base_url).rstrip('/')}{path}"
    for auth in (None, ("edge", "wrong")):
        assert httpx.request(method, address, auth=auth, trust_env=False).status_code == httpx.codes.UNAUTHORIZED


def test_the_older_wado_uri_is_off(archive: Edge) -> None:
    assert archive.rest.get("/wado", params={"requestType": "WADO"}).status_code == httpx.codes.NOT_FOUND


def test_without_the_plugin_the_edge_starts_and_says_so(tmp_path: Path) -> None:
    skip_without_orthanc()
    alone = tmp_path / PYTHON_PLUGIN.name
    alone.symlink_to(PYTHON_PLUGIN)
    with edge(tmp_path, "http://127.0.0.1:9", CXR_PACS_PYTHON_PLUGIN=str(alone)) as started:
        assert started.rest.get("/dicom-web/studies").status_code == httpx.codes.NOT_FOUND
        assert "no DICOMweb" in started.log.read_text()
