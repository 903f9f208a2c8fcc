"""The snippets of docs/api.md do what the page says."""

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pydicom
import pytest

from app.main import create_app
from app.settings import Settings
from docs.postman.files import write_files
from tests.support import ROOT
from tests.support.faulty import Fault, faulty_service
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.server import Server

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n## Snippets\n")[2]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LANGUAGES = ("sh", "python", "python alone", "java")
SNIPPETS = {language: text for language, (_, text) in zip(LANGUAGES, BLOCKS, strict=True)}
BEFORE_REPORT = {"sh": 5, "python": 2, "python alone": 1, "java": 1}
"""Requests that a snippet makes before that for the report."""
TRIES = 4
ADDRESS = "127.0.0.1:8000"
PNG = b"\x89PNG"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write_files(tmp_path)
    (tmp_path / "phantom.png").rename(tmp_path / "chest.png")
    (tmp_path / "phantom.dcm").rename(tmp_path / "chest.dcm")
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    ended = end(command, folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def sop_class(path: Path) -> str:
    return pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID.name


def assert_dicom_objects(folder: Path) -> None:
    assert sop_class(folder / "segmentation.dcm") == "Segmentation Storage"
    assert sop_class(folder / "report.dcm") == "Comprehensive 3D SR Storage"
    assert sop_class(folder / "capture.dcm") == "Secondary Capture Image Storage"


def test_curl(server: Server, folder: Path) -> None:
    run(command_of("sh", server.url, folder), folder)
    answers = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("score", "raw", "masks")}
    assert len({answer["score"] for answer in answers.values()} - {None}) == 1
    assert answers["raw"]["request_id"] == "study-17.1"
    assert answers["masks"]["masks"]["lungs"]["contours"]
    assert (folder / "overlay.png").read_bytes().startswith(PNG)
    assert_dicom_objects(folder)


def test_python(server: Server, folder: Path) -> None:
    said = server.client.post("/segment", content=(folder / "chest.png").read_bytes()).json()
    shares = {zone["zone"]: zone["share"] for zone in said["zones"]}
    assert run(command_of("python", server.url, folder), folder) == f"{said['score']} {shares}\n"
    for name in ("lungs", "disease"):
        assert (folder / f"{name}.png").read_bytes() == base64.b64decode(said["masks"][name]["data"])
    assert_dicom_objects(folder)


def test_python_alone(server: Server, folder: Path) -> None:
    said = server.client.post("/score", content=(folder / "chest.png").read_bytes()).json()
    assert "httpx" not in SNIPPETS["python alone"]
    printed = run(command_of("python alone", server.url, folder), folder)
    assert printed == f"{said['score']} {said['quality']['flags']}\n"
    assert sop_class(folder / "report.dcm") == "Comprehensive 3D SR Storage"


def test_java(server: Server, folder: Path) -> None:
    # Java's own choice, which is to offer HTTP/2.
    assert "version(" not in SNIPPETS["java"]
    report = json.loads(run(command_of("java", server.url, folder), folder))
    assert report["score"] is not None
    assert sop_class(folder / "report.dcm") == "Comprehensive 3D SR Storage"


def command_of(language: str, url: str, folder: Path, wait: int = 0) -> list[str]:
    """Runs the language's snippet against ``url``, with ``wait`` seconds between tries (curl: 1)."""
    text = SNIPPETS[language].replace(ADDRESS, urlsplit(url).netloc)
    for needed in {"sh": ["curl"], "java": ["java", "javac"]}.get(language, []):
        program(needed)
    if language == "sh":
        return ["bash", "-c", text.replace("--retry 3", "--retry 3 --retry-delay 1")]
    text = re.sub(r"(WAITS = .)1, 2, 4", rf"\g<1>{wait}, {wait}, {wait}", text)
    if language == "java":
        (folder / "Score.java").write_text(text)
        return ["java", "Score.java"]
    return [sys.executable, "-c", text]


def end(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_of_the_moment_is_tried_again(language: str, folder: Path) -> None:
    with faulty_service() as faulty:
        faulty.faults = [Fault(502), Fault(503, "overloaded", {"Retry-After": "2"}), Fault(504, "deadline_exceeded")]
        ended = end(command_of(language, faulty.url, folder), folder)
        assert ended.returncode == 0, ended.stderr
        first, second, third, fourth, *_ = faulty.asked
        assert first[0] == second[0] == third[0] == fourth[0]
        assert third[3] - second[3] >= 2, "as long as Retry-After says"


@pytest.mark.parametrize("language", LANGUAGES)
def test_after_the_last_try_nothing_is_waited_for(language: str, folder: Path) -> None:
    with faulty_service() as faulty:
        # Who waited for this would be ended by the test's own time limit.
        faulty.faults = [*[Fault(503, "overloaded")] * (TRIES - 1), Fault(503, "overloaded", {"Retry-After": "3600"})]
        ended = end(command_of(language, faulty.url, folder), folder)
        assert ended.returncode != 0
        assert "overloaded" in ended.stderr
        assert len(faulty.asked) == TRIES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_service_that_is_away_for_a_while_is_waited_for(language: str, folder: Path) -> None:
    with faulty_service() as faulty:
        faulty.faults = [Fault(503, "not_ready", {"Retry-After": "1", "Connection": "close"})]
        command = command_of(language, faulty.url, folder, wait=1)
        snippet = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert faulty.arrived.acquire(timeout=60)
    asked_first = faulty.asked[0][3]
    # It is away for two seconds. The second try comes after one to one and a half, and is refused.
    time.sleep(max(asked_first + 2 - time.monotonic(), 0))
    with faulty_service(urlsplit(faulty.url).port or 0) as back:
        _, said = snippet.communicate(timeout=60)
        assert snippet.returncode == 0, said
        assert back.asked[0][0] == faulty.asked[0][0]
    assert (folder / "report.dcm").stat().st_size


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(422, "unsupported_dicom"), "unsupported_dicom"),
        (Fault(302, headers={"Location": "/a-page-that-is-no-report"}), "302"),
    ],
)
def test_what_is_no_report_is_told_and_never_written_over_one(
    language: str, folder: Path, fault: Fault, told: str
) -> None:
    (folder / "report.dcm").write_bytes(b"an older report")
    with faulty_service() as faulty:
        before = BEFORE_REPORT[language]
        faulty.turn = before, fault
        ended = end(command_of(language, faulty.url, folder), folder)
        assert ended.returncode != 0
        assert told in ended.stderr
        assert len(faulty.asked) == before + 1, "it is not asked again"
    assert (folder / "report.dcm").read_bytes() == b"an older report"
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_there_is_a_failure(language: str, folder: Path) -> None:
    ended = end(command_of(language, f"http://127.0.0.1:{free_port()}", folder), folder)
    assert ended.returncode != 0
    assert "onnect" in ended.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_timeout_is_above_the_services_deadline(language: str) -> None:
    (seconds,) = re.findall(r"(?:timeout=|--max-time |ofSeconds\()(\d+)", SNIPPETS[language])
    assert float(seconds) > Settings(_env_file=None).request_timeout_s


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_path_and_parameter_exists(language: str) -> None:
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    asked = re.findall(r"(?<=[\"0])(/(?:score|segment|reports/\w+))(?:\?([\w=&]+))?", SNIPPETS[language])
    assert asked
    for path, query in asked:
        offered = {parameter["name"] for parameter in paths[path]["post"]["parameters"]}
        assert {item.partition("=")[0] for item in query.split("&") if item} <= offered
