"""What the image is made of and how it says that it is well."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from pip_requirements_parser import RequirementsFile

from app.version import VERSION
from tests.support import ROOT
from tests.support.ports import free_port
from tests.support.scripts import load_script
from tests.support.server import Server

LOCKS = sorted((ROOT / "docker").glob("requirements-*.txt"))
_IMAGE = "3.13"
"""The Python of the images: of the Debian release in docker/Dockerfile."""
_NEWER = {"imagecodecs"}
"""Packages that the images have newer than the tests on Python 3.11: there are no newer wheels for it."""


audit = load_script(ROOT / "docker" / "audit.py", "audit")


class Advisories(BaseHTTPRequestHandler):
    """A service with the protocol of osv.dev; ``known`` has the advisories by package."""

    known: ClassVar[dict[str, list[dict[str, object]]]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"vulns": self.known[asked["package"]["name"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _locked(lock: Path) -> Mapping[str, str]:
    """The versions by name; each package is pinned and has a hash."""
    found = RequirementsFile.from_file(str(lock))
    assert not found.invalid_lines
    assert all(one.is_pinned and one.hash_options for one in found.requirements)
    return {_name(one.name): one.get_pinned_version for one in found.requirements}


def _constraints(python: str) -> Mapping[str, str]:
    """The versions by name that a version of Python gets."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    held = [one for one in found if one.marker is None or one.marker.evaluate({"python_version": python})]
    versions = {_name(one.name): str(one.specifier).removeprefix("==") for one in held}
    assert len(versions) == len(held), "a package has two versions"
    return versions


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_the_images_have_what_the_tests_run_with(lock: Path) -> None:
    # setuptools comes with the environment where tests run.
    locked = {name: version for name, version in _locked(lock).items() if name != "setuptools"}
    for python, newer in ((_IMAGE, set()), ("3.11", _NEWER)):
        tested = _constraints(python)
        assert {name for name, version in locked.items() if tested.get(name) != version} == newer & set(locked)


def test_what_differs_between_versions_of_python_is_listed() -> None:
    image, oldest = _constraints(_IMAGE), _constraints("3.11")
    assert {name for name in image.keys() | oldest.keys() if image.get(name) != oldest.get(name)} == _NEWER
    assert all(Version(image[name]) > Version(oldest[name]) for name in _NEWER)


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if "bom" not in lock.name], ids=lambda path: path.stem)
def test_the_images_have_what_the_service_needs(lock: Path) -> None:
    locked = _locked(lock)
    pyproject = (ROOT / "pyproject.toml").read_text()
    wanted = re.search(r"\ndependencies = \[(.*?)\n\]", pyproject, re.DOTALL)
    assert wanted is not None
    needed = {_name(name) for name in re.findall(r'"([A-Za-z0-9._-]+)', wanted[1])}
    assert needed <= set(locked)


def test_image_and_tag_have_the_version() -> None:
    assert f'image.version="{VERSION}"' in (ROOT / "docker" / "Dockerfile").read_text()
    tags = re.findall(r"image: cxr-severity:(\S+)", (ROOT / "docker-compose.yml").read_text())
    named = {("CXR_TAG", "cpu"), ("CXR_TAG", "cuda"), ("CXR_NEW_TAG", "cpu")}
    assert set(tags) == {f"${{{tag}:-{VERSION}}}-{variant}" for tag, variant in named}


def test_there_is_a_lock_for_each_variant_and_for_the_bills() -> None:
    assert [lock.name for lock in LOCKS] == ["requirements-bom.txt", "requirements-cpu.txt", "requirements-cuda.txt"]
    (cpu,) = [lock for lock in LOCKS if "cpu" in lock.name]
    assert not [name for name in _locked(cpu) if name.startswith(("nvidia", "triton", "cuda"))]


@pytest.fixture
def advisories() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as service:
        Thread(target=service.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{service.server_port}/v1/query"
        service.shutdown()


HOLE = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "details": "", "affected": []}


@pytest.mark.parametrize(
    ("known", "status"), [([], 0), ([HOLE], 1)], ids=["nothing is known against it", "it has a hole"]
)
def test_the_audit_fails_for_what_has_an_advisory(
    known: list[dict[str, object]],
    status: int,
    advisories: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Advisories, "known", {"thing": known})
    monkeypatch.setattr(audit, "LOCKS", [_lock(tmp_path, f"thing==1.0 --hash=sha256:{'a' * 64}")])
    assert audit.main(["--vulnerability-service", "osv", "--osv-url", advisories]) == status
    assert ("requirements-x.txt: thing==1.0: PYSEC-2026-1, CVE-2026-1\n" in capsys.readouterr().out) == bool(known)


def test_an_audit_that_reaches_no_service_or_knows_nothing_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = _lock(tmp_path, f"thing==1.0 --hash=sha256:{'a' * 64}")
    monkeypatch.setattr(audit, "LOCKS", [lock])
    nobody = f"http://127.0.0.1:{free_port()}/v1/query"
    assert audit.main(["--vulnerability-service", "osv", "--osv-url", nobody]) == 1
    assert "requirements-x.txt: " in capsys.readouterr().err
    monkeypatch.setattr(audit, "audit", lambda *_: [{"name": "thing", "skip_reason": "not found"}])
    assert audit.main([]) == 3


def test_a_lock_without_a_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "LOCKS", [_lock(tmp_path, "pillow==12.0.0")])
    assert audit.main([]) == 1
    assert "hash" in capsys.readouterr().err


def _lock(folder: Path, text: str) -> Path:
    path = folder / "requirements-x.txt"
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def _health(port: int) -> int:
    environment = {"CXR_PORT": str(port), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "app.health"], env=environment, check=False, capture_output=True
    ).returncode


def test_the_health_check_follows_readiness(server: Server) -> None:
    assert _health(httpx.URL(server.url).port or 0) == 0
    assert _health(free_port()) == 1
