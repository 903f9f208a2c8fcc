"""The real service in a process of its own, on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support import ROOT, metrics
from tests.support.polling import until
from tests.support.ports import Address, free_port
from tests.support.processes import end, wait_answering

START_SECONDS = 120.0


@dataclass
class Server:
    """A running ``python -m app``.

    Attributes:
        log: the file it writes its log to.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def log_lines(self) -> list[dict[str, object]]:
        """The log so far, parsed; the last line may be half written."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def answered(self, request_id: str) -> dict[str, object]:
        """The log line of an answered request, once it is there: it is written after the answer was sent."""

        def found() -> list[dict[str, object]]:
            lines = (line for line in self.log_lines() if line["message"] == "answered")
            return [line for line in lines if line["request_id"] == request_id]

        until(found, f"a log line of {request_id}")
        (line,) = found()
        return line

    def wait_ready(self) -> None:
        """Polls until it takes radiographs."""
        wait_answering(
            self.process, self.log, lambda: self.client.get("/health/ready").status_code == 200, START_SECONDS
        )

    @property
    def address(self) -> Address:
        """Where it listens."""
        url = self.client.base_url
        return url.host, url.port or 0

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of this name that have these labels; 0 where there are none yet."""
        return metrics.total(self.client.get("/metrics").text, name, **labels)


def start(folder: Path, settings: Mapping[str, str], program: str | None = None) -> Server:
    """Starts the service with these ``CXR_`` settings; ``folder`` is its working directory.

    Args:
        program: Python to run instead of ``python -m app``.
    """
    port = int(settings.get("CXR_PORT") or free_port())
    log = folder / "service.log"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    environment = {**ours, "PYTHONPATH": str(ROOT), "CXR_HOST": "127.0.0.1", **settings, "CXR_PORT": str(port)}
    with log.open("wb") as file:
        arguments = ["-c", program] if program else ["-m", "app"]
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    return Server(process, f"http://127.0.0.1:{port}", log)


@contextmanager
def running(folder: Path, program: str | None = None, **settings: str) -> Iterator[Server]:
    """A ready service, ended at exit."""
    server = start(folder, settings, program)
    try:
        server.wait_ready()
        yield server
    finally:
        server.client.close()
        end(server.process)
