"""Replicas of the real service behind the real nginx with the shipped configuration, on loopback."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support import ROOT
from tests.support.polling import until
from tests.support.ports import free_port
from tests.support.processes import answering
from tests.support.server import Server, start

START = ROOT / "docker" / "gateway" / "start.sh"
END_SECONDS = 60.0


def nginx_installed() -> bool:
    """Whether the gateway can be started here."""
    return shutil.which("nginx") is not None


@dataclass
class Replica:
    """One service process that keeps its port when it is started again."""

    folder: Path
    port: int
    settings: Mapping[str, str]
    server: Server = field(init=False)

    def start(self) -> None:
        """Starts it, not yet ready."""
        self.server = start(self.folder, {**self.settings, "CXR_PORT": str(self.port)})

    def wait_ready(self) -> None:
        """Until it takes radiographs."""
        self.server.wait_ready()

    def signal(self, number: signal.Signals) -> None:
        """Sends its process a signal."""
        self.server.process.send_signal(number)

    def wait_ended(self) -> int:
        """Its exit status."""
        return self.server.process.wait(END_SECONDS)

    def end(self) -> None:
        """Ends it in any case."""
        self.server.client.close()
        if self.server.process.poll() is None:
            # A stopped process does not see the other signal.
            with suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGTERM)
            try:
                self.wait_ended()
            except subprocess.TimeoutExpired:
                self.server.process.kill()
                self.server.process.wait()


@dataclass
class Gateway:
    """The running nginx.

    Attributes:
        log: its standard output, one JSON line a request.
    """

    url: str
    log: Path

    def entries(self, least: int = 0) -> list[dict[str, object]]:
        """The access log so far, once it has ``least`` lines: nginx writes a line after its answer is sent.

        Raises:
            TimeoutError: it has fewer, and no more come.
        """
        until(lambda: len(self._whole_lines()) >= least, f"{least} lines of {self.log}")
        return [json.loads(line) for line in self._whole_lines()]

    def _whole_lines(self) -> list[str]:
        """The last one may be half written."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [line for line in lines if line.startswith("{") and line.endswith("\n")]


@contextmanager
def gateway(folder: Path, replicas: Sequence[str], **environment: str) -> Iterator[Gateway]:
    """nginx as the image starts it.

    Args:
        replicas: host:port of each.
        environment: of start.sh.
    """
    port = free_port()
    log = folder / "gateway.log"
    settings = {
        "REPLICAS": " ".join(replicas),
        "PORT": str(port),
        "WORK": str(folder / "gateway"),
        "RUNBOOK": str(ROOT / "docs" / "operations.md"),
        **environment,
    }
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        return httpx.get(f"{url}/gateway/health").status_code == httpx.codes.OK

    with answering([START], log, answers, env={**os.environ, **settings}, start_new_session=True):
        yield Gateway(url, log)


@contextmanager
def cluster(
    count: int, read_timeout: str = "35s", settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Gateway, list[Replica]]]:
    """A gateway and so many ready replicas."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replicas = [Replica(_made(folder / f"replica-{index}"), free_port(), settings or {}) for index in range(count)]
        try:
            for replica in replicas:
                replica.start()
            for replica in replicas:
                replica.wait_ready()
            addresses = [f"127.0.0.1:{replica.port}" for replica in replicas]
            with gateway(folder, addresses, READ_TIMEOUT=read_timeout) as front:
                yield front, replicas
        finally:
            for replica in replicas:
                replica.end()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
