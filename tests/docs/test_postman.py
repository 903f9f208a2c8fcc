"""The Postman collection, run by newman against live services: every endpoint, every error code."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.keys import hash_key
from app.main import create_app
from app.settings import Settings
from docs.postman.files import write_files
from models.workflow import Workflow
from tests.support import ROOT
from tests.support.gates import gated
from tests.support.polling import until
from tests.support.problems import all_problems
from tests.support.programs import program
from tests.support.server import Server, running

POSTMAN = ROOT / "docs" / "postman"
COLLECTION = POSTMAN / "collection.json"
FOLDERS = {item["name"]: item["item"] for item in json.loads(COLLECTION.read_text())["item"]}
ON_ANY_SERVICE = ("Service", "Analysis", "DICOM", "Refused")
BEYOND_OPENAPI = {"/", "/docs", "/openapi.json"}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    write_files(folder)
    return folder


def run(uploads: Path, url: str, *folders: str, key: str = "") -> None:
    """Every request of some folders; fails with what newman says where an assertion does."""
    report = uploads / f"{folders[0]}.json"
    command = [program("newman"), "run", str(COLLECTION), "--environment", str(POSTMAN / "environment.json")]
    command += [argument for folder in folders for argument in ("--folder", folder)]
    command += ["--env-var", f"baseUrl={url}", "--env-var", f"apiKey={key}"]
    command += ["--working-dir", str(uploads), "--reporters", "cli,json", "--reporter-json-export", str(report)]
    command += ["--color", "off", "--ignore-redirects"]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout
    ran = json.loads(report.read_text())["run"]
    items = [item["name"] for folder in folders for item in FOLDERS[folder]]
    assert ran["stats"]["requests"]["total"] >= len(items)
    assert not ran["failures"]
    tested = {execution["item"]["name"] for execution in ran["executions"] if execution.get("assertions")}
    assert tested == set(items)


def test_on_any_service(server: Server, uploads: Path) -> None:
    run(uploads, server.url, *ON_ANY_SERVICE)


def test_keys_and_busy(uploads: Path, tmp_path: Path) -> None:
    with running(
        tmp_path, CXR_API_KEYS=hash_key("the key"), CXR_MAX_IN_FLIGHT="1", CXR_REQUEST_TIMEOUT_S="600"
    ) as live:
        run(uploads, live.url, "Keys", key="the key")
        with socket.create_connection(live.address, timeout=60) as connection:
            # The only place is taken by a request whose body does not come.
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nX-API-Key: the key\r\nContent-Length: 5000\r\n\r\n")
            until(lambda: live.metric("cxr_requests_in_flight") == 1, "a request under way")
            run(uploads, live.url, "Busy", key="the key")


def test_late(uploads: Path) -> None:
    with gated(request_timeout_s=0.2) as live:
        live.lungs.gate.clear()
        run(uploads, live.url, "Late")


def test_ending(uploads: Path) -> None:
    with gated() as live:
        live.service.drain()
        run(uploads, live.url, "Ending")


def test_broken(uploads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_a_bug(*arguments: object) -> None:
        raise KeyError("secret detail")

    with gated() as live:
        monkeypatch.setattr(Workflow, "conclude", has_a_bug)
        run(uploads, live.url, "Broken")


def requests() -> Iterator[dict[str, Any]]:
    for items in FOLDERS.values():
        yield from items


def script_of(item: dict[str, Any]) -> str:
    return "\n".join(line for event in item["event"] if event["listen"] == "test" for line in event["script"]["exec"])


def test_every_endpoint_is_asked() -> None:
    asked = {(item["request"]["method"], "/" + "/".join(item["request"]["url"]["path"])) for item in requests()}
    document = create_app(Settings(_env_file=None)).openapi()
    offered = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert offered | {("GET", path) for path in BEYOND_OPENAPI} <= asked


def test_every_code_is_met_with_its_status() -> None:
    met = set()
    for item in requests():
        met |= set(re.findall(r'pm\.test\("(\d{3}) ([a-z_]+)"', script_of(item)))
    assert met == {(str(problem.status), problem.code) for problem in all_problems()}


def test_every_request_has_tests_and_every_folder_is_run() -> None:
    assert all(script_of(item) for item in requests())
    ours = Path(__file__).read_text()
    special = set(re.findall(r'run\(uploads, live\.url, "(\w+)"', ours))
    assert special | set(ON_ANY_SERVICE) == FOLDERS.keys()
