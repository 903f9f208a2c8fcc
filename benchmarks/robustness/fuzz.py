"""``python -m benchmarks.robustness.fuzz``: decodes mutated radiographs; what is neither a picture nor a problem fails.

Files are decoded in processes of their own, so a crash or a hang of a library is found too, and belongs to the file
that was at hand. Every failure is kept by its SHA-256; the same seed and number make the same file again.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from app.intake import decode
from benchmarks.robustness.fuzz_worker import Answer, Bounds, Decode, work
from benchmarks.robustness.mutations import build_case
from benchmarks.robustness.seeds import seeds as all_seeds

_STANDSTILL = 20.0
"""Wall-clock time over the CPU time allowed: on a busy machine a process may get a fraction of a processor."""
_START_SECONDS = 300.0
_PROGRESS = 5000
_KEPT_STDERR = 4000


@dataclass
class Tally:
    """What a campaign found.

    Attributes:
        outcomes: files by ``accepted`` or problem code.
        formats: accepted files by their format.
        slowest: CPU seconds and number of the slowest file.
        peak_kib: most that a process held beyond what it held at its start, and the file that was at hand.
        failures: number, kind and digest of each file that failed.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    peak_kib: tuple[int, int] = (0, -1)
    failures: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def files(self) -> int:
        return self.outcomes.total() + len(self.failures)

    def table(self) -> str:
        """Markdown."""
        crashes = sum(kind.startswith("crash") for _, kind, _ in self.failures)
        rows = [
            ("files", self.files),
            *((f"accepted, {kind}", count) for kind, count in sorted(self.formats.items())),
            *((f"refused, {code}", count) for code, count in sorted(self.outcomes.items()) if code != "accepted"),
            ("slowest, CPU s", f"{self.slowest[0]:.2f} (file {self.slowest[1]})"),
            ("peak memory, MiB", f"{self.peak_kib[0] / 1024:.0f} (file {self.peak_kib[1]})"),
            ("crashes", crashes),
            ("other failures", len(self.failures) - crashes),
            *((f"file {index}", f"{kind}, {digest}") for index, kind, digest in self.failures),
        ]
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


class Campaign:
    """Files number ``first`` to ``first + count`` of one seed, through worker processes."""

    def __init__(
        self,
        count: int,
        seed: int,
        folder: Path,
        bounds: Bounds | None = None,
        decoder: Decode = decode,
        first: int = 0,
        prefix: str = "",
    ) -> None:
        """Args:
        folder: for the files that failed; made if need be.
        decoder: what is tried; importable by its name.
        prefix: of the names of the seeds that are used, which begin with their format.
        """
        self.tally = Tally()
        self._seed, self._folder, self._decoder = seed, folder, decoder
        self._bounds = bounds or Bounds()
        self._seeds = {name: data for name, data in all_seeds().items() if name.startswith(prefix)}
        self._left: Iterator[int] = iter(range(first, first + count))
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, jobs: int) -> Tally:
        """All files, ``jobs`` at a time."""
        with ThreadPoolExecutor(jobs) as pool:
            for supervisor in [pool.submit(self._supervise, number) for number in range(jobs)]:
                supervisor.result()
        return self.tally

    def _supervise(self, number: int) -> None:
        """One worker process after another, until no file is left."""
        while (index := self._take()) is not None:
            with _Worker(self._seeds, self._seed, self._bounds, self._decoder, self._folder, number) as worker:
                while index is not None and self._record(index, worker, worker.ask(index)):
                    index = self._take()

    def _take(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def _record(self, index: int, worker: "_Worker", found: Answer | str) -> bool:
        """Counts what came of a file; whether the worker still lives."""
        with self._lock:
            tally = self.tally
            if isinstance(found, str):
                self._keep(index, found, worker.said())
                return False
            if found.outcome is None:
                self._keep(index, "neither picture nor problem", found.fault)
            else:
                tally.outcomes[found.outcome] += 1
                tally.formats.update([found.format] if found.format else [])
            tally.slowest = max(tally.slowest, (found.seconds, index))
            peak_kib = found.resident_kib - worker.resting_kib
            if peak_kib > tally.peak_kib[0]:
                tally.peak_kib = (peak_kib, index)
            if tally.files % _PROGRESS == 0:
                print(f"{tally.files} files, {len(tally.failures)} failures", file=sys.stderr, flush=True)
            return True

    def _keep(self, index: int, kind: str, told: str) -> None:
        case = build_case(self._seed, index, self._seeds)
        self.tally.failures.append((case.index, kind, case.digest))
        (self._folder / f"{case.digest}.bin").write_bytes(case.data)
        note = {"seed": self._seed, "index": case.index, "of": case.name, "kind": kind, "told": told}
        (self._folder / f"{case.digest}.json").write_text(json.dumps(note, indent=1))


class _Worker:
    """A worker process and the pipe to it.

    Attributes:
        resting_kib: its resident memory before the first file.
    """

    def __init__(
        self, seeds: dict[str, bytes], seed: int, bounds: Bounds, decoder: Decode, folder: Path, number: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._stderr = folder / f"worker-{number}.log"
        self._patience = bounds.seconds * _STANDSTILL
        arguments = (theirs, seeds, seed, bounds, decoder, self._stderr)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_SECONDS):
            raise RuntimeError("a worker did not start")
        self.resting_kib: int = self._pipe.recv()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()
        self._stderr.unlink(missing_ok=True)

    def ask(self, index: int) -> Answer | str:
        """The answer, or how the process ended instead."""
        try:
            self._pipe.send(index)
            if self._pipe.poll(self._patience):
                answer: Answer = self._pipe.recv()
                return answer
        except (EOFError, ConnectionError):
            self._process.join()
            return self._end()
        self._process.kill()
        self._process.join()
        return "stands still"

    def said(self) -> str:
        """The last that the process wrote to stderr: of a crash, where it was."""
        return self._stderr.read_text(errors="replace")[-_KEPT_STDERR:]

    def _end(self) -> str:
        status = self._process.exitcode or 0
        if status == -signal.SIGPROF:
            return "takes too long"
        return f"crash, {signal.Signals(-status).name}" if status < 0 else f"crash, status {status}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a Markdown table; 1 where a file failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seeds", default="", help="what the names of seeds begin with, such as DICOM; empty: all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=Bounds.seconds, help="CPU time that a file may take")
    parser.add_argument("--memory-mib", type=int, default=Bounds.memory_mib)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="for files that failed")
    options = parser.parse_args(arguments)
    bounds = Bounds(options.memory_mib, options.seconds)
    tally = Campaign(
        options.count, options.seed, options.folder, bounds, first=options.first, prefix=options.seeds
    ).run(options.jobs)
    print(tally.table())
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
