"""The real service in a process of its own, around networks that cost nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.server import Server, running

PROGRAM: Final = """
import sys
from app.serving import serve
from app.settings import Settings
from benchmarks.peers.workflows import build_workflow

sys.exit(serve(Settings(), build_workflow("{kind}")))
"""


def program(kind: str) -> str | None:
    """Python that serves a workflow of ``benchmarks.peers.workflows``; None: ``python -m app`` does."""
    return None if kind == "embedded" else PROGRAM.format(kind=kind)


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    """A ready service around free networks, with these ``CXR_`` settings; ended at exit."""
    with running(folder, program("free"), **settings) as server:
        yield server
