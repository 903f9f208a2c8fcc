"""Adds the commit to the version, as its local part: ``0.1.0+gf0b40881c2d3``.

It comes from ``CXR_COMMIT`` where images are built, else from git; a source tree with neither has the number alone.
"""

import os
import subprocess
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent


def commit() -> str:
    """The first 12 digits of the commit, ``.dirty`` where files differ from it; empty where it is not known."""
    if named := os.environ.get("CXR_COMMIT"):
        return named[:12]
    # A tree inside another project's repository is not that project's.
    if not (HERE / ".git").exists():
        return ""
    describe = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=.dirty"]
    try:
        found = subprocess.run(describe, cwd=HERE, check=True, capture_output=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


number = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cxr"]["version"]
built_from = commit()
setup(version=f"{number}+g{built_from}" if built_from else number)
