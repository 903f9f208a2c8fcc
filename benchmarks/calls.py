"""``python -m benchmarks.calls``: what each call takes and how large its answer is, for one client and for eight.

The service runs on loopback with the embedded networks; calls take turns, so that each meets the same machine.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from benchmarks.uploads import HAZE, jpeg
from models.phantom import draw_phantom
from tests.support.dicoms import dicom
from tests.support.server import running

CLIENTS = 8
DICOM = "application/dicom"


@dataclass
class Call:
    """One call, and what was measured of it.

    Attributes:
        alone, together: seconds that each answer took, with one client and with ``CLIENTS``.
        rates: answers a second with ``CLIENTS``, by round.
        size: of its answer, bytes.
    """

    path: str
    accept: str
    upload: str
    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    size: int = 0

    def row(self) -> str:
        """Of the Markdown table."""
        name = f"`{self.path}`" + (f", `{self.accept}`" if self.accept != "application/json" else "")
        alone, together = (1000 * median(seconds) for seconds in (self.alone, self.together))
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 1e6 else f"{self.size / 1e3:.1f} KB"
        return f"| {name} | {self.upload} | {alone:.0f} ms | {together:.0f} ms | {median(self.rates):.1f} | {size} |"


CALLS = (
    ("/score?overlay=false", "application/json", "JPEG"),
    ("/score", "application/json", "JPEG"),
    ("/segment?overlay=false", "application/json", "JPEG"),
    ("/segment", "image/png", "JPEG"),
    ("/score?overlay=false", "application/json", "DICOM"),
    ("/segment", DICOM, "DICOM"),
    ("/reports/sr", DICOM, "DICOM"),
    ("/reports/sc", DICOM, "DICOM"),
    ("/reports", "application/zip", "DICOM"),
)


def measure(client: httpx.Client, calls: Sequence[Call], rounds: int) -> None:
    """Fills the calls' figures."""
    deep = draw_phantom(2048, HAZE).astype(np.uint16) * 16
    uploads = {"JPEG": jpeg(1024, 1024), "DICOM": dicom(deep, bits=12)}

    def ask(call: Call) -> float:
        began = time.perf_counter()
        answer = client.post(call.path, content=uploads[call.upload], headers={"Accept": call.accept})
        answer.raise_for_status()
        call.size = len(answer.content)
        return time.perf_counter() - began

    with ThreadPoolExecutor(CLIENTS) as pool:
        for call in calls:
            ask(call)
        for _ in range(rounds):
            for call in calls:
                call.alone.append(ask(call))
            for call in calls:
                began = time.perf_counter()
                call.together += pool.map(ask, [call] * 2 * CLIENTS)
                call.rates.append(2 * CLIENTS / (time.perf_counter() - began))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="9 by default")
    options = parser.parse_args(arguments)
    calls = [Call(*named) for named in CALLS]
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        measure(server.client, calls, options.rounds)
    print(f"| Call | Upload | Alone | {CLIENTS} at once | Answers a second | Answer |")
    print("|---|---|---|---|---|---|")
    for call in calls:
        print(call.row())


if __name__ == "__main__":
    main()
