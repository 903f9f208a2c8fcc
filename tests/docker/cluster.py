"""Replicas of the real service behind the real nginx with the shipped configuration, on loopback."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.app.server import ROOT, Server, start
from tests.support.ports import free_port

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
        self.server.url = f"http://127.0.0.1:{self.port}"
        self.server.client = httpx.Client(base_url=self.server.url, timeout=60)

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
    process: subprocess.Popen[bytes]

    def entries(self, least: int = 0) -> list[dict[str, object]]:
        """The access log so far, once it has ``least`` lines: nginx writes a line after its answer is sent.

        Raises:
            TimeoutError: it has fewer, and no more come.
        """
        deadline = time.monotonic() + END_SECONDS
        while True:
            # The last line may be half written.
            lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.startswith("{")]
            whole = [json.loads(line) for line in lines if line.endswith("\n")]
            if len(whole) >= least:
                return whole
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(whole)} of {least} lines")
            time.sleep(0.01)


@contextmanager
def gateway(folder: Path, replicas: Sequence[str], **environment: str) -> Iterator[Gateway]:
    """nginx as the image starts it.

    Args:
        replicas: host:port of each.
        environment: of start.sh.

    Raises:
        RuntimeError: it does not start; with its output.
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
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(START)],
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_listening(process, url, log)
        yield Gateway(url, log, process)
    finally:
        process.terminate()
        process.wait(END_SECONDS)


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


def _wait_listening(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/gateway/health").status_code == httpx.codes.OK:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the gateway does not answer: {log.read_text()}")
