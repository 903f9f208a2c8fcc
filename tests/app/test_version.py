"""The version names the build: the number from pyproject.toml, the commit from git or from the image's build."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.version import BUILD, VERSION
from tests.support import ROOT
from tests.support.server import Server


def built_version(tree: Path, **environment: str) -> str:
    asked = [sys.executable, "setup.py", "--quiet", "--version"]
    found = subprocess.run(
        asked, cwd=tree, env={**os.environ, **environment}, check=True, capture_output=True, text=True, timeout=60
    )
    return found.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with what the version is made from."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for package in ("app", "models"):
        (tmp_path / package).mkdir()
    return tmp_path


def git(tree: Path, *arguments: str) -> str:
    named = ("-c", "user.name=x", "-c", "user.email=x@localhost")
    return subprocess.run(
        ["git", *named, *arguments], cwd=tree, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_the_number_alone_without_git(tree: Path) -> None:
    assert built_version(tree, CXR_COMMIT="") == VERSION


def test_the_commit_of_the_images_build(tree: Path) -> None:
    assert built_version(tree, CXR_COMMIT="0123456789abcdef0123456789abcdef01234567") == f"{VERSION}+g0123456789ab"


def test_the_commit_of_the_source_tree(tree: Path) -> None:
    git(tree, "init", "--quiet")
    git(tree, "add", "setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
    git(tree, "commit", "--quiet", "--message", "one")
    commit = git(tree, "rev-parse", "--short=12", "HEAD")
    assert built_version(tree, CXR_COMMIT="") == f"{VERSION}+g{commit}"
    (tree / "NOTICE").write_text("another\n")
    assert built_version(tree, CXR_COMMIT="") == f"{VERSION}+g{commit}.dirty"


def test_every_answer_names_the_build(server: Server, phantom_png: bytes) -> None:
    answer = server.client.post("/score?overlay=false", content=phantom_png).json()
    loaded = server.client.get("/models").json()
    for found in (answer["models"], loaded):
        assert (found["service"], found["build"]) == (VERSION, BUILD)
    (started,) = [line for line in server.log_lines() if line["message"] == "starting"]
    assert (started["version"], started["build"]) == (VERSION, BUILD)
