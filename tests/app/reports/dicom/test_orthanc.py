"""What is written, in a real archive: Debian's Orthanc takes it, keeps it in the radiograph's study, and only once."""

import json
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from tests.support.dicoms import image_elements, write
from tests.support.ports import free_port
from tests.support.processes import answering
from tests.support.programs import program
from tests.support.reports import HEIGHT, WIDTH, WRITERS, case_of, full_source


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Orthanc's REST interface, on loopback."""
    orthanc, folder = program("Orthanc", "orthanc"), tmp_path_factory.mktemp("orthanc")
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [],
        "DicomServerEnabled": False,
        "HttpPort": free_port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpBindAddresses": ["127.0.0.1"],
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with httpx.Client(base_url=f"http://127.0.0.1:{settings['HttpPort']}", trust_env=False, timeout=60) as client:

        def answers() -> bool:
            return client.get("/system").status_code == httpx.codes.OK

        with answering([orthanc, configuration], folder / "log", answers, cwd=folder):
            yield client


def radiograph() -> Dataset:
    """A whole image of which the reports tell."""
    return full_source(**image_elements(np.zeros((HEIGHT, WIDTH), np.uint8)))


def store(archive: httpx.Client, data: bytes) -> dict[str, str]:
    answer = archive.post("/instances", content=data)
    assert answer.status_code == 200, answer.text
    stored: dict[str, str] = answer.json()
    return stored


def test_kept_in_the_radiographs_study_and_once(archive: httpx.Client) -> None:
    source = store(archive, write(radiograph()))
    written = {kind: write(case_of(radiograph())) for kind, write in WRITERS.items()}
    stored = {kind: store(archive, data) for kind, data in written.items()}
    assert {answer["Status"] for answer in stored.values()} == {"Success"}
    assert {answer["ParentStudy"] for answer in stored.values()} == {source["ParentStudy"]}
    assert len({answer["ParentSeries"] for answer in (source, *stored.values())}) == 1 + len(WRITERS)
    for kind, answer in stored.items():
        assert archive.get(f"/instances/{answer['ID']}/file").content == written[kind]
    again = {store(archive, write(case_of(radiograph())))["Status"] for write in WRITERS.values()}
    assert again == {"AlreadyStored"}


def test_found_by_the_patients_name(archive: httpx.Client) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    source = full_source(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name, StudyInstanceUID="1.2.3")
    answer = store(archive, WRITERS["report"](case_of(source)))
    assert archive.get(f"/studies/{answer['ParentStudy']}").json()["PatientMainDicomTags"]["PatientName"] == name


def test_the_capture_is_shown_by_the_archive(archive: httpx.Client) -> None:
    stored = store(archive, WRITERS["capture"](case_of(full_source(PatientID="another"))))
    preview = archive.get(f"/instances/{stored['ID']}/preview", headers={"Accept": "image/png"})
    assert preview.status_code == 200
    picture = np.asarray(Image.open(BytesIO(preview.content)))
    assert (picture == dcmread(BytesIO(WRITERS["capture"](case_of(full_source())))).pixel_array).all()
