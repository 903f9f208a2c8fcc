"""Debian's Orthanc with the shipped script and configuration, and dcmtk as the machines around it, on loopback."""

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from models.phantom import draw_phantom
from tests.support import ROOT, dicoms
from tests.support.polling import until
from tests.support.ports import free_port
from tests.support.processes import end, wait_answering
from tests.support.programs import program

START = ROOT / "docker" / "orthanc" / "start.sh"
PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
DICOMWEB_PLUGIN = PYTHON_PLUGIN.with_name("libOrthancDicomWeb.so")
AET, PEER, STRANGER = "CXRSEVERITY", "VIEWER", "STRANGER"
PASSWORD = "of the tests"  # noqa: S105
END_SECONDS = 60.0
RESULT_SECONDS = 180.0
SOP_CLASSES = {"CR": ComputedRadiographyImageStorage, "CT": CTImageStorage, "OT": SecondaryCaptureImageStorage}


def skip_without_orthanc() -> None:
    """Where a package that the tests of this folder run is not there."""
    program("Orthanc", "orthanc")
    program("storescu", "dcmtk")
    if not PYTHON_PLUGIN.exists():
        pytest.skip("orthanc-python is not installed")


def radiograph(modality: str = "CR", side: int = 256, **header: str) -> Dataset:
    """The phantom as a DICOM object in a study of its own.

    Args:
        modality: CR, CT or OT, with the SOP class that goes with it.
        header: attributes by keyword, over those of a frontal chest radiograph.
    """
    elements = {
        **dicoms.image_elements(draw_phantom(side)),
        "SOPClassUID": SOP_CLASSES[modality],
        **{f"{level}InstanceUID": generate_uid() for level in ("SOP", "Study", "Series")},
        "Modality": modality,
        "PatientName": "Phantom^Drawn",
        "PatientID": "PHANTOM-1",
    }
    return dicoms.header(**{**elements, **header})


@dataclass
class Edge:
    """One Orthanc that keeps its folder and its ports when it is started again.

    Attributes:
        port: where peers' own servers listen, for C-MOVE.
    """

    folder: Path
    service_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    dicom_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)
    _sent: int = 0

    def __post_init__(self) -> None:
        self.rest = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}", auth=("edge", PASSWORD), timeout=60, trust_env=False
        )
        self.log = self.folder / "orthanc.log"

    def start(self) -> None:
        """Returns when it takes images."""
        peers = {"viewer": [PEER, "127.0.0.1", self.port]}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")} | {
            "CXR_PACS_SERVICE_URL": self.service_url,
            "CXR_PACS_LONGEST_WAIT_S": "1",
            "CXR_PACS_PEERS": json.dumps(peers),
            "CXR_PACS_PASSWORD": PASSWORD,
            "CXR_PACS_DATA": str(self.folder / "archive"),
            "CXR_PACS_DICOM_PORT": str(self.dicom_port),
            "CXR_PACS_HTTP_PORT": str(self.http_port),
            **self.settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([START], env=environment, stdout=log, stderr=log, cwd=self.folder)
        wait_answering(
            self.process, self.log, lambda: self.rest.get("/system").status_code == httpx.codes.OK, END_SECONDS
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """By this signal."""
        self.process.send_signal(number)
        self.process.wait(END_SECONDS)

    def store(self, dataset: Dataset, aet: str = PEER, *options: str | Path) -> int:
        """``storescu``; its exit status."""
        self._sent += 1
        path = self.folder / f"sent-{self._sent}.dcm"
        path.write_bytes(dicoms.write(dataset))
        command = ["storescu", *options, "-aet", aet, "-aec", AET, "127.0.0.1", str(self.dicom_port), path]
        return subprocess.run(command, capture_output=True, check=False, timeout=END_SECONDS).returncode

    def series(self, study: str) -> Counter[str]:
        """``findscu`` at series level: how many instances of which modality a study has."""
        answers = self.folder / "answers"
        shutil.rmtree(answers, ignore_errors=True)
        answers.mkdir()
        asked = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", "Modality", "NumberOfSeriesRelatedInstances"]
        keys = [word for key in asked for word in ("-k", key)]
        command = ["findscu", "-S", "-X", "-od", answers, "-aet", PEER, "-aec", AET, *keys]
        subprocess.run([*command, "127.0.0.1", str(self.dicom_port)], capture_output=True, check=True, timeout=60)
        found: Counter[str] = Counter()
        for path in answers.iterdir():
            answer = _read(path)
            found[answer.Modality] += int(answer.NumberOfSeriesRelatedInstances)
        return found

    def retrieve(self, study: str) -> list[Dataset]:
        """``movescu``: the study as a viewer gets it."""
        folder = self.folder / "retrieved"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        aets = ["-aet", PEER, "-aec", AET, "-aem", PEER]
        command = ["movescu", "-S", *aets, "+P", str(self.port), "-od", folder, *keys]
        subprocess.run([*command, "127.0.0.1", str(self.dicom_port)], capture_output=True, check=True, timeout=60)
        return [_read(path) for path in folder.iterdir()]

    @contextmanager
    def peer(self) -> Iterator[Path]:
        """``storescp``: the archive that results are sent to; the folder into which it stores."""
        folder = self.folder / "peer"
        folder.mkdir(exist_ok=True)
        command = ["storescp", "-aet", PEER, "-od", folder, str(self.port)]
        with (self.folder / "peer.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield folder
        finally:
            end(process)

    def count(self) -> int:
        """Instances in the archive."""
        return int(self.rest.get("/statistics").json()["CountInstances"])

    def instance(self, dataset: Dataset) -> str:
        """Orthanc's identifier of what was sent."""
        found = self.rest.post("/tools/lookup", content=dataset.SOPInstanceUID).json()
        (identifier,) = [item["ID"] for item in found if item["Type"] == "Instance"]
        return str(identifier)

    def status(self, dataset: Dataset) -> str | None:
        """What the edge noted on it."""
        answer = self.rest.get(f"/instances/{self.instance(dataset)}/metadata/cxr-status")
        return answer.text if answer.status_code == httpx.codes.OK else None

    def statuses(self) -> Counter[str]:
        """Of all instances that have one."""
        answers = [
            self.rest.get(f"/instances/{instance}/metadata/cxr-status")
            for instance in self.rest.get("/instances").json()
        ]
        return Counter(answer.text for answer in answers if answer.status_code == httpx.codes.OK)

    def modalities(self, folder: Path) -> Counter[str]:
        """Of the files that a peer has got; none while one is being written."""
        try:
            return Counter(_read(path).Modality for path in folder.iterdir())
        except (InvalidDicomError, AttributeError, EOFError):
            return Counter()

    def wait_for_status(self, *datasets: Dataset, status: str = "done") -> None:
        """Until all have it."""
        until(
            lambda: all(self.status(dataset) == status for dataset in datasets),
            f"status {status}",
            RESULT_SECONDS,
            pause=0.1,
        )

    def wait_until_asking(self) -> None:
        """Until a request of the edge is under way at the service."""
        port = httpx.URL(self.service_url).port
        orthanc = psutil.Process(self.process.pid)

        def asks() -> bool:
            return any(
                connection.raddr and connection.raddr.port == port and connection.status == psutil.CONN_ESTABLISHED
                for connection in orthanc.net_connections("tcp")
            )

        until(asks, "a request to the service", RESULT_SECONDS)


@contextmanager
def edge(folder: Path, service_url: str, **settings: str) -> Iterator[Edge]:
    """A started Orthanc, ended at exit."""
    started = Edge(folder, service_url, settings)
    try:
        started.start()
        yield started
    finally:
        started.rest.close()
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait()


def _read(path: Path) -> Dataset:

    return dcmread(path)
