"""The real service in a process of its own, around networks that cost nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from tests.support.server import Server, running

PROGRAM: Final = """
import sys
from app.serving import serve
from app.settings import Settings
from benchmarks.peers.workflows import build_workflow

sys.exit(serve(Settings(), build_workflow("{kind}")))
"""
MEBIBYTE: Final = 2**20


def program(kind: str) -> str | None:
    """Python that serves a workflow of ``benchmarks.peers.workflows``; None: ``python -m app`` does."""
    return None if kind == "embedded" else PROGRAM.format(kind=kind)


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    """A ready service around free networks, with these ``CXR_`` settings; ended at exit."""
    with running(folder, program("free"), **settings) as server:
        yield server


class Memory:
    """Resident memory of a process, and the most it was since ``forget``."""

    def __init__(self, pid: int) -> None:
        self._status, self._peaks = Path(f"/proc/{pid}/status"), Path(f"/proc/{pid}/clear_refs")
        self._process = psutil.Process(pid)

    def resident_mib(self) -> float:
        """Now."""
        return self._process.memory_info().rss / MEBIBYTE

    def forget(self) -> None:
        """Lets the peak begin anew from what is resident now."""
        self._peaks.write_text("5")

    def peak_mib(self) -> float:
        """``VmHWM``."""
        lines = self._status.read_text().splitlines()
        (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(peak) / 1024
