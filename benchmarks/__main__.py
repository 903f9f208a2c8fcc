"""``make bench``: the service beside its limits and beside what a user would pick instead: one run, table and plot.

Every figure is the median of interleaved rounds: within a round each server in turn meets the same load. What has been
measured is kept in ``results.json`` after each step, so that a run that was cut off still shows.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measuring import Load
from benchmarks.peers.handling import MAX_BATCH
from benchmarks.plot import draw
from benchmarks.servers import BEFORE, BEFORE_FOLDER, OURS, SERVERS, running
from benchmarks.tables import render
from models.runtime.device import resolve_device
from models.runtime.processors import available_cpus

SECTIONS = ("limit", "pipeline", "host", "efficiency", "embedded", "published", "steady")
CLIENTS = (1, 4, 16, 64)
COMPARED = (1, 16, 64)
LIMITS = {"embedded": (1, 2, 4), "published": (1, 2)}
"""Batch sizes of which the networks are measured alone; the published pair's larger ones take minutes on a CPU."""
NEEDED = {"LitServe": "litserve", "mosec": "mosec", "BentoML": "bentoml"}
STEADY_SECONDS = 600.0


class Results:
    """Every measurement of a run, kept on disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.json"
        self.rows: list[dict[str, Any]] = json.loads(self._file.read_text()) if self._file.is_file() else []

    def add(self, section: str, **row: object) -> None:
        """One measurement."""
        self.rows.append({"section": section, **row})
        self._file.write_text(json.dumps(self.rows, indent=1))
        print(f"{time.strftime('%H:%M:%S')} {section} {row}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table, draws the plot; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load, beyond its first answers")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--max-batch", type=int, default=MAX_BATCH)
    parser.add_argument("--short", action="store_true", help="ten minutes: one round, short lines, the embedded pair")
    parser.add_argument("--steady-seconds", type=float, default=STEADY_SECONDS)
    parser.add_argument("--embedded-clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--published-clients", type=int, nargs="+", default=COMPARED)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="earlier results there are added to")
    parser.add_argument("--render-only", action="store_true")
    options = parser.parse_args(arguments)
    if options.short:
        options.rounds, options.seconds = 1, 10.0
        options.sections, options.embedded_clients = ("limit", "pipeline", "embedded"), (1, 16)
    results = Results(options.folder)
    if not options.render_only:
        processor, vnni = _processor()
        device = str(resolve_device("auto"))
        results.add("machine", cores=available_cpus(), device=device, processor=processor, vnni=vnni)
        for number in range(options.rounds):
            _round(options, results, number)
        if "steady" in options.sections:
            steady(options, results)
    table, met = render(results.rows)
    (options.folder / "table.md").write_text(table)
    draw(results.rows, options.folder / "bench.png")
    print(table)
    return 0 if met else 1


def _round(options: argparse.Namespace, results: Results, number: int) -> None:
    for kind, sizes in LIMITS.items():
        if "limit" in options.sections:
            arguments = ("--workflow", kind, "--json", "--rounds", "3", "--batches", *map(str, sizes))
            for limit in _python("benchmarks.networks", *arguments):
                results.add("limit", round=number, kind=kind, **limit)
        if "pipeline" in options.sections:
            found = _python("benchmarks.pipeline", "--workflow", kind, "--json")
            results.add("pipeline", round=number, kind=kind, **found)
    if "host" in options.sections:
        for name in _available(options.servers):
            with running(name, "free", options.max_batch) as server:
                for uploads, overlay in (("tiny", False), ("mixed", True)):
                    load = Load(server, uploads, 16, options.seconds / 2, overlay)
                    results.add("host", round=number, server=name, uploads=uploads, **load.run())
    if "efficiency" in options.sections and str(resolve_device("auto")) == "cpu":
        arguments = ("--json", "--rounds", "1", "--max-batch", str(options.max_batch))
        for found in _python("benchmarks.efficiency", *arguments):
            results.add("efficiency", round=number, **found)
    for kind, clients in (("embedded", options.embedded_clients), ("published", options.published_clients)):
        if kind in options.sections:
            for name in _available(options.servers):
                with running(name, kind, options.max_batch) as server:
                    for count in clients if name == OURS else (c for c in clients if c in COMPARED):
                        load = Load(server, "mixed", count, options.seconds)
                        results.add(kind, round=number, server=name, **load.run())


def steady(options: argparse.Namespace, results: Results) -> None:
    """Ten minutes at 16 clients: memory in the third minute and in the last."""
    with running(OURS, "embedded", options.max_batch) as server:
        load = Load(server, "mixed", 16, options.steady_seconds)
        memory = load.run_watched()
        results.add("steady", seconds=options.steady_seconds, resident_mib=memory, **load.found)


def _python(module: str, *arguments: str) -> Any:
    output = subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def _available(names: Sequence[str]) -> list[str]:
    """Those whose framework, or whose commit, is there."""
    there = [name for name in names if name not in NEEDED or find_spec(NEEDED[name])]
    return [name for name in there if name != BEFORE or BEFORE_FOLDER.is_dir()]


def _processor() -> tuple[str, bool]:
    """Its name, and whether it has AVX-512's instructions for int8."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine()), "avx512_vnni" in text


if __name__ == "__main__":
    sys.exit(main())
