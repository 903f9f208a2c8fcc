"""What is written, in a real archive: Debian's Orthanc takes it, keeps it in the radiograph's study, and only once."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite

from tests.app.reports.dicom.cases import HEIGHT, WIDTH, WRITERS, case_of, full_source
from tests.support.ports import free_port

START_SECONDS = 60.0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Orthanc's REST interface, on loopback."""
    if shutil.which("Orthanc") is None:
        pytest.skip("orthanc is not installed")
    folder = tmp_path_factory.mktemp("orthanc")
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
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", configuration], stdout=log, stderr=log, cwd=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{settings['HttpPort']}", trust_env=False, timeout=60) as client:
            wait_for_start(client, process, folder / "log")
            yield client
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def wait_for_start(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Orthanc ended with {process.returncode}: {log.read_text()}")
        try:
            client.get("/system").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(log.read_text())


def radiograph() -> Dataset:
    """A whole image of which the reports tell."""
    image = full_source()
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.PixelData = np.zeros((HEIGHT, WIDTH), np.uint8).tobytes()
    return image


def store(archive: httpx.Client, data: bytes) -> dict[str, str]:
    answer = archive.post("/instances", content=data)
    assert answer.status_code == 200, answer.text
    stored: dict[str, str] = answer.json()
    return stored


def test_kept_in_the_radiographs_study_and_once(archive: httpx.Client) -> None:
    buffer = BytesIO()
    dcmwrite(buffer, radiograph(), enforce_file_format=True)
    source = store(archive, buffer.getvalue())
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
