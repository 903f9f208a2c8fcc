"""The snippets of docs/api.md do what the page says."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from app.main import create_app
from app.settings import Settings
from docs.postman.files import write_files
from tests.app.client.faulty import Fault, faulty_service
from tests.app.server import ROOT, Server
from tests.support.ports import free_port

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n## Snippets\n")[2]
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
PNG = b"\x89PNG"
LANGUAGES = ("sh", "python", "java")


def snippets(language: str) -> list[str]:
    return [text for name, text in SNIPPETS if name == language]


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
    (text,) = snippets("python")
    said = server.client.post("/segment", content=(folder / "chest.png").read_bytes()).json()
    shares = {zone["zone"]: zone["share"] for zone in said["zones"]}
    assert run([sys.executable, "-c", text.replace(ADDRESS, server.url)], folder) == f"{said['score']} {shares}\n"
    for name in ("lungs", "disease"):
        assert (folder / f"{name}.png").read_bytes() == base64.b64decode(said["masks"][name]["data"])
    assert_dicom_objects(folder)


def test_java(server: Server, folder: Path) -> None:
    (text,) = snippets("java")
    # Java's own choice, which is to offer HTTP/2.
    assert "version(" not in text
    report = json.loads(run(command_of("java", server.url, folder), folder))
    assert report["score"] is not None
    assert sop_class(folder / "report.dcm") == "Comprehensive 3D SR Storage"


def command_of(language: str, url: str, folder: Path) -> list[str]:
    """Runs the language's snippet against ``url``, waiting a second at most between tries."""
    (text,) = snippets(language)
    text = text.replace(ADDRESS, url)
    needed = {"sh": ["curl"], "java": ["java", "javac"], "python": []}[language]
    if missing := [name for name in needed if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)}: not installed")
    if language == "sh":
        return ["bash", "-c", text.replace("--retry 3", "--retry 3 --retry-delay 1")]
    if language == "python":
        return [sys.executable, "-c", text.replace("WAITS = (1, 2, 4)", "WAITS = (0, 0, 0)")]
    (folder / "Score.java").write_text(text.replace("WAITS = {1, 2, 4}", "WAITS = {0, 0, 0}"))
    return ["java", "Score.java"]


def end(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_of_the_moment_is_tried_again(language: str, folder: Path) -> None:
    with faulty_service() as faulty:
        faulty.faults = [Fault(502), Fault(503, "overloaded", {"Retry-After": "1"}), Fault(504, "deadline_exceeded")]
        ended = end(command_of(language, faulty.url, folder), folder)
        assert ended.returncode == 0, ended.stderr
        first, second, third, fourth, *_ = faulty.asked
        assert first[0] == second[0] == third[0] == fourth[0]
        assert third[3] - second[3] >= 1, "as long as Retry-After says"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_problem_is_told_and_never_written_over_a_file(language: str, folder: Path) -> None:
    (folder / "report.dcm").write_bytes(b"an older report")
    with faulty_service() as faulty:
        # All that comes before the report is answered.
        before = {"sh": 5, "python": 2, "java": 1}[language]
        faulty.turn = before, Fault(422, "unsupported_dicom")
        ended = end(command_of(language, faulty.url, folder), folder)
        assert ended.returncode != 0
        assert "unsupported_dicom" in ended.stderr
        assert len(faulty.asked) == before + 1, "it is not asked again"
    assert (folder / "report.dcm").read_bytes() == b"an older report"
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_there_is_a_failure(language: str, folder: Path) -> None:
    ended = end(command_of(language, f"http://127.0.0.1:{free_port()}", folder), folder)
    assert ended.returncode != 0
    assert "onnect" in ended.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_path_and_parameter_exists(language: str) -> None:
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    asked = [
        match
        for text in snippets(language)
        for match in re.findall(r"(?<=[\"0])(/(?:score|segment|reports/\w+))(?:\?([\w=&]+))?", text)
    ]
    assert asked
    for path, query in asked:
        offered = {parameter["name"] for parameter in paths[path]["post"]["parameters"]}
        assert {item.partition("=")[0] for item in query.split("&") if item} <= offered
