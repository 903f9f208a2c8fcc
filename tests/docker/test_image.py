"""What the image is made of and how it says that it is well."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from app.version import VERSION
from tests.support import ROOT
from tests.support.ports import free_port
from tests.support.scripts import load_script
from tests.support.server import Server

LOCKS = sorted((ROOT / "docker").glob("requirements-*.txt"))
_ALONE = {"torch", "torchvision", "setuptools"}
"""Of which the CPU image has builds of its own, or which only build."""


audit = load_script(ROOT / "docker" / "audit.py", "audit")


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _constraints() -> Mapping[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {_name(name): version for name, _, version in (line.partition("==") for line in lines)}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_the_image_has_what_the_tests_ran_with(lock: Path) -> None:
    locked = {_name(package.name): package.version for package in audit.read_lock(lock)}
    tested = _constraints()
    assert {
        name: version for name, version in locked.items() if name not in _ALONE and tested.get(name) != version
    } == {}
    pyproject = (ROOT / "pyproject.toml").read_text()
    wanted = re.search(r"\ndependencies = \[(.*?)\n\]", pyproject, re.DOTALL)
    assert wanted is not None
    needed = {_name(name) for name in re.findall(r'"([A-Za-z0-9._-]+)', wanted[1])}
    assert needed <= set(locked)


def test_image_and_tag_have_the_version() -> None:
    assert f'image.version="{VERSION}"' in (ROOT / "docker" / "Dockerfile").read_text()
    tags = re.findall(r"image: cxr-severity:(\S+)", (ROOT / "docker-compose.yml").read_text())
    assert sorted(tags) == [f"${{CXR_TAG:-{VERSION}}}-{variant}" for variant in ("cpu", "cuda")]


def test_there_is_a_lock_for_each_variant() -> None:
    assert [lock.name for lock in LOCKS] == ["requirements-cpu.txt", "requirements-cuda.txt"]
    (cpu,) = [lock for lock in LOCKS if "cpu" in lock.name]
    assert not [
        package.name for package in audit.read_lock(cpu) if package.name.startswith(("nvidia", "triton", "cuda"))
    ]


def test_a_lock_without_a_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements-x.txt"
    lock.write_text("pillow==12.0.0\n")
    with pytest.raises(ValueError, match="not pinned with a hash"):
        list(audit.read_lock(lock))


def test_the_audit_finds_files_that_are_gone_or_withdrawn() -> None:
    package = audit.Locked("requirements-x.txt", "thing", "1.0", frozenset({"a" * 64}))
    there = {"hashes": {"sha256": "a" * 64}, "yanked": False}
    other = {"hashes": {"sha256": "b" * 64}, "yanked": False}
    assert audit.faults_on_the_index(package, [there, other]) == []
    (gone,) = audit.faults_on_the_index(package, [other])
    assert "no file" in gone
    (withdrawn,) = audit.faults_on_the_index(package, [{**there, "yanked": "breaks everything"}])
    assert "breaks everything" in withdrawn


@pytest.mark.parametrize(
    ("about", "status"),
    [(None, 3), ({"vulnerabilities": []}, 0), ({"vulnerabilities": [{"id": "PYSEC-1", "withdrawn": None}]}, 1)],
    ids=["no advisories served", "nothing known", "a hole"],
)
def test_an_audit_without_advisories_does_not_pass(
    about: Mapping[str, object] | None, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements-x.txt"
    lock.write_text(f"thing==1.0 --hash=sha256:{'a' * 64}\n")
    page = {"files": [{"hashes": {"sha256": "a" * 64}, "yanked": False}]}
    monkeypatch.setattr(audit, "LOCKS", [lock])
    monkeypatch.setattr(audit, "fetch", lambda url, accept: page if "/simple/" in url else about)
    assert audit.main() == status


def _health(port: int) -> int:
    environment = {"CXR_PORT": str(port), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "app.health"], env=environment, check=False, capture_output=True
    ).returncode


def test_the_health_check_follows_readiness(server: Server) -> None:
    assert _health(httpx.URL(server.url).port or 0) == 0
    assert _health(free_port()) == 1
