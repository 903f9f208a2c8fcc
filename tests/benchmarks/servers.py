"""Servers under test, each in a process group of its own, and what they take."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks import uploads
from tests.support.ports import free_port

SERVERS = {
    "service": "tests.benchmarks.service",
    "FastAPI, one at a time": "tests.benchmarks.peers.plain",
    "LitServe": "tests.benchmarks.peers.litserve_peer",
    "mosec": "tests.benchmarks.peers.mosec_peer",
    "BentoML": "tests.benchmarks.peers.bentoml_peer",
    "FastAPI around PyTorch": "tests.benchmarks.peers.plain",
    "service at 10c18cf": "tests.benchmarks.service",
}
OURS, EAGER, BEFORE = "service", "FastAPI around PyTorch", "service at 10c18cf"
BEFORE_FOLDER = Path("build/10c18cf").absolute()
"""``git worktree add build/10c18cf 10c18cf``: before OpenVINO. Without it that service is left out."""
START_SECONDS = 300.0
END_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Attributes:
        paths: where it scores, with the overlay and without.
        tells: whether it has our metrics.
    """

    port: int
    process: psutil.Process
    paths: Mapping[bool, str]
    tells: bool

    def cpu_seconds(self) -> float:
        """CPU time so far of the process and all that it started."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def resident_mib(self) -> float:
        """Resident memory of the process and all that it started."""
        total = 0
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 2**20

    def batches(self) -> dict[str, float]:
        """Batches (``count``) and radiographs in them (``sum``) so far, of both stages; only our service tells."""
        if not self.tells:
            return {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found = {"count": 0.0, "sum": 0.0}
        for family in text_string_to_metric_families(text):
            for sample in family.samples if family.name == "cxr_batch_size" else ():
                if sample.name.endswith(("_count", "_sum")):
                    found[sample.name.rpartition("_")[2]] += sample.value
        return found


@contextmanager
def running(name: str, workflow: str, max_batch: int, *options: str) -> Iterator[Server]:
    """Starts a server of ``SERVERS``, waits until it is ready, and ends it with all that it started.

    Args:
        options: more of its command line.

    Raises:
        RuntimeError: it ended, or is not ready in time; with the last of its output.
    """
    module = SERVERS[name]
    port = free_port()
    command = [sys.executable, "-m", module, "--port", str(port), "--workflow", workflow, "--max-batch", str(max_batch)]
    command += [*options, *["--eager"] * (name == EAGER)]
    environment = {**os.environ, "PYTHONPATH": str(BEFORE_FOLDER)} if name == BEFORE else None
    where = BEFORE_FOLDER if name == BEFORE else None
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=where, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            peer = import_module(module)
            _wait_ready(process, port, peer.READY_PATH, peer.SCORE_PATHS[True], log)
            yield Server(port, psutil.Process(process.pid), peer.SCORE_PATHS, name in (OURS, BEFORE))
        finally:
            _end(process)


def _wait_ready(process: subprocess.Popen[bytes], port: int, ready: str, score: str, log: Path) -> None:
    """Until it says so, and has answered a radiograph: some answer health checks before their workers are there."""
    deadline = time.monotonic() + START_SECONDS
    (body,) = uploads.bodies("tiny")
    while time.monotonic() < deadline and process.poll() is None:
        if _status(port, "GET", ready) == 200 and _status(port, "POST", score, body) == 200:
            return
        time.sleep(0.2)
    raise RuntimeError(f"not ready: {log.read_text(errors='replace')[-2000:]}")


def _status(port: int, method: str, path: str, body: bytes = b"") -> int | None:
    """None where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/octet-stream"} if body else {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=END_SECONDS)
    for left in alive:
        left.kill()
