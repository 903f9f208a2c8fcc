"""The real service in a process of its own, on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
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
        """The log so far, parsed."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_ready(self) -> None:
        """Polls readiness until it is given, or the process or the time ends."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the service ended with {self.process.returncode}: {self.log.read_text()}")
            try:
                if self.client.get("/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.05)
        raise TimeoutError(f"not ready within {START_SECONDS} s: {self.log.read_text()}")


def start(folder: Path, settings: Mapping[str, str], program: str | None = None) -> Server:
    """Starts the service with these ``CXR_`` settings; ``folder`` is its working directory.

    Args:
        program: Python to run instead of ``python -m app``.
    """
    port = free_port()
    log = folder / "service.log"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    environment = {**ours, "PYTHONPATH": str(ROOT), "CXR_PORT": str(port), "CXR_HOST": "127.0.0.1", **settings}
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
        server.process.terminate()
        server.process.wait(timeout=60)
