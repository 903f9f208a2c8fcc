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
from tests.app.server import ROOT, Server

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n## Snippets\n")[2]
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
PNG, JPEG = b"\x89PNG", b"\xff\xd8\xff"


def snippets(language: str) -> list[str]:
    return [text for name, text in SNIPPETS if name == language]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write_files(tmp_path)
    (tmp_path / "phantom.png").rename(tmp_path / "chest.png")
    (tmp_path / "phantom.dcm").rename(tmp_path / "chest.dcm")
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def sop_class(path: Path) -> str:
    return pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID.name


def assert_dicom_objects(folder: Path) -> None:
    assert sop_class(folder / "segmentation.dcm") == "Segmentation Storage"
    assert sop_class(folder / "report.dcm") == "Comprehensive 3D SR Storage"
    assert sop_class(folder / "capture.dcm") == "Secondary Capture Image Storage"


def test_curl(server: Server, folder: Path) -> None:
    (text,) = snippets("sh")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    run(["bash", "-e", "-c", text.replace(ADDRESS, server.url)], folder)
    answers = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("score", "raw", "masks")}
    assert len({answer["score"] for answer in answers.values()} - {None}) == 1
    assert answers["raw"]["request_id"] == "study-17.1"
    assert answers["masks"]["masks"]["lungs"]["contours"]
    assert (folder / "overlay.png").read_bytes().startswith(PNG)
    assert_dicom_objects(folder)


def test_python_with_retries(server: Server, folder: Path) -> None:
    text, _ = snippets("python")
    said = server.client.post("/score", content=(folder / "chest.png").read_bytes()).json()
    shares = {zone["zone"]: zone["share"] for zone in said["zones"]}
    assert run([sys.executable, "-c", text.replace(ADDRESS, server.url)], folder) == f"{said['score']} {shares}\n"


def test_python_with_nothing_else(server: Server, folder: Path) -> None:
    _, text = snippets("python")
    run([sys.executable, "-S", "-c", text.replace(ADDRESS, server.url)], folder)
    said = server.client.post("/segment", content=(folder / "chest.png").read_bytes()).json()
    for name in ("lungs", "disease"):
        assert (folder / f"{name}.png").read_bytes() == base64.b64decode(said["masks"][name]["data"])
    assert (folder / "overlay.jpg").read_bytes().startswith(JPEG)
    assert_dicom_objects(folder)


def test_java(server: Server, folder: Path) -> None:
    (text,) = snippets("java")
    assert "public class Score" in text
    # Java's own choice, which is to offer HTTP/2.
    assert "version(" not in text
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("a JDK is not installed")
    (folder / "Score.java").write_text(text.replace(ADDRESS, server.url))
    report = json.loads(run([java, "Score.java"], folder))
    assert report["score"] is not None
    assert sop_class(folder / "report.dcm") == "Comprehensive 3D SR Storage"


@pytest.mark.parametrize("language", ["sh", "python", "csharp", "java"])
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
