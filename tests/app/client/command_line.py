"""``cxr-score`` as people run it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from app.client.command import app
from tests.support import ROOT

FEW_SECONDS = 60


def score(folder: Path, out: Path, url: str, *options: str, key: str = "") -> Result:
    """The command in this process."""
    arguments = [str(folder), "--out", str(out), "--url", url, *options]
    return CliRunner().invoke(app, arguments, env={"CXR_API_KEY": key, "COLUMNS": "200"}, catch_exceptions=False)


def begin(folder: Path, out: Path, url: str, *options: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.client", str(folder), "--out", str(out), "--url", url, *options],
        env={**ours, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def pictures(folder: Path, count: int) -> list[str]:
    """Files that start as PNG and differ; their names, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:02}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes([number]))
    return [f"{number:02}.png" for number in range(count)]


def rows(path: Path) -> list[dict[str, str]]:
    """Of a table that the command wrote."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))
