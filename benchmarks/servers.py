"""Servers under test, each in a process group of its own, and what they take."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import httpx
import psutil

from benchmarks import uploads
from tests.support import metrics
from tests.support.ports import free_port
from tests.support.processes import wait_answering

SERVERS = {
    "service": "benchmarks.service",
    "FastAPI, one at a time": "benchmarks.peers.plain",
    "LitServe": "benchmarks.peers.litserve_peer",
    "mosec": "benchmarks.peers.mosec_peer",
    "BentoML": "benchmarks.peers.bentoml_peer",
    "FastAPI around PyTorch": "benchmarks.peers.plain",
    "service at 10c18cf": "benchmarks.service",
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
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=60).text
        return {kind: metrics.total(text, f"cxr_batch_size_{kind}") for kind in ("count", "sum")}


@contextmanager
def running(name: str, workflow: str, max_batch: int, *options: str) -> Iterator[Server]:
    """Starts a server of ``SERVERS``, waits until it is ready, and ends it with all that it started.

    Args:
        options: more of its command line.

    Raises:
        RuntimeError: it ended; with the last of its output, as the other.
        TimeoutError: it is not ready in time.
    """
    module = SERVERS[name]
    # Where the benchmarks lay then.
    started = f"tests.{module}" if name == BEFORE else module
    port = free_port()
    command = [sys.executable, "-m", started, "--port", str(port)]
    command += ["--workflow", workflow, "--max-batch", str(max_batch)]
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
    (body,) = uploads.bodies("tiny")

    def answers() -> bool:
        return client.get(ready).is_success and client.post(score, content=body).is_success

    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Content-Type": "application/octet-stream"},
        timeout=START_SECONDS,
        trust_env=False,
    ) as client:
        wait_answering(process, log, answers, START_SECONDS)


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
