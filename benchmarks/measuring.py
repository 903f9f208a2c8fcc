"""A load on a server, and what the server takes for it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.servers import Server


class Load:
    """One load on one server, made by a generator in a process of its own."""

    def __init__(self, server: Server, uploads: str, clients: int, seconds: float, overlay: bool = True) -> None:
        self._server = server
        self._command = [
            *(sys.executable, "-m", "benchmarks.load", "--port", str(server.port), "--uploads", uploads),
            *("--path", server.paths[overlay], "--clients", str(clients), "--seconds", str(seconds)),
        ]
        self.found: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """The generator's report, with the server's CPU milliseconds an answer and its mean batch."""
        for _ in self._samples(every=None):
            pass
        return self.found

    def run_watched(self, every: float = 10.0) -> list[tuple[float, float]]:
        """The same; returns (seconds since the start, resident MiB) now and then."""
        return list(self._samples(every))

    def _samples(self, every: float | None) -> Iterator[tuple[float, float]]:
        server = self._server
        batches = server.batches()
        cpu, started = server.cpu_seconds(), time.monotonic()
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        while True:
            try:
                output, _ = process.communicate(timeout=every)
                break
            except subprocess.TimeoutExpired:
                yield time.monotonic() - started, server.resident_mib()
        if process.returncode:
            raise RuntimeError(f"the load generator ended with {process.returncode}")
        self.found = json.loads(output)
        all_answers = self.found.pop("all_answers")
        self.found["server_cpu_ms"] = (server.cpu_seconds() - cpu) / all_answers * 1000
        after = server.batches()
        if batches and after["count"] > batches["count"]:
            self.found["mean_batch"] = (after["sum"] - batches["sum"]) / (after["count"] - batches["count"])
