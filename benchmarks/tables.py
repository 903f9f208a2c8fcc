"""The measurements of a run as Markdown, and the bars that they have to reach."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.efficiency import table
from benchmarks.servers import BEFORE, OURS

Rows = Sequence[Mapping[str, Any]]
KINDS = {"embedded": "the embedded pair", "published": "the published pair's architectures"}
EFFICIENCY, FASTER, FASTER_PUBLISHED, DRIFT = 0.95, 25.0, 1.4, 0.05
BEFORE_RATES = {"embedded": 2.2, "published": 0.95}
BEFORE_RATE_WITHOUT_VNNI = 1.4
"""Of the embedded pair, where int8 has no instructions of its own."""
BEFORE_ALONE = 0.6


@dataclass(frozen=True)
class Bar:
    """One requirement: ``found`` has to be at least ``wanted``, or at most."""

    name: str
    found: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"| {self.name} | {self.found:.3g} {sign} {self.wanted:.3g} | {'met' if self.met else '**missed**'} |"


class Medians:
    """Medians over rounds of the rows that fit."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def of(self, figure: str, **where: object) -> float | None:
        """None where nothing was measured."""
        found = [row[figure] for row in self._matching(where) if figure in row]
        return median(found) if found else None

    def values(self, key: str, **where: object) -> list[Any]:
        """The different values of a key, in the order of their coming."""
        return list(dict.fromkeys(row[key] for row in self._matching(where) if key in row))

    def rows(self, **where: object) -> list[Mapping[str, Any]]:
        """What fits, one by one."""
        return list(self._matching(where))

    def _matching(self, where: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        return (row for row in self._rows if all(row.get(key) == value for key, value in where.items()))


def render(rows: Rows) -> tuple[str, bool]:
    """All tables, and whether every bar that was measured is met."""
    medians = Medians(rows)
    bars = [bar for find in (_efficiency, _peers, _before, _host, _pipeline, _steady) for bar in find(medians)]
    parts = [_machine(medians), _limits(medians), _hosts(medians), _turns(medians.rows(section="efficiency"))]
    parts += [_service(medians, kind) for kind in KINDS]
    parts += [_steadiness(medians), "## Bars\n\n| bar | found | |\n|---|---|---|\n" + "\n".join(map(str, bars))]
    return "\n\n".join(part for part in parts if part) + "\n", all(bar.met for bar in bars)


def _machine(medians: Medians) -> str:
    rows = medians.rows(section="machine")
    if not rows:
        return ""
    rounds = 1 + max((row["round"] for row in medians.rows() if "round" in row), default=0)
    return "{processor}, {cores} cores, networks on {device}; medians of {0} rounds.".format(rounds, **rows[-1])


def _limits(medians: Medians) -> str:
    lines = []
    for kind, name in KINDS.items():
        for batch in medians.values("batch", section="limit", kind=kind):
            where = {"section": "limit", "kind": kind, "batch": batch}
            figures = (medians.of("rate", **where), medians.of("cpu_ms", **where))
            lines.append(f"| {name} | {batch} | {' | '.join(map(_number, figures))} |")
        alone = medians.of("rate", section="pipeline", kind=kind)
        if alone is not None:
            lines.append(f"| {name}, published way of working | 1 | {alone:.2f} | |")
    if not lines:
        return ""
    return "## Networks alone\n\n| networks | batch | radiographs/s | CPU ms |\n|---|---|---|---|\n" + "\n".join(lines)


def _hosts(medians: Medians) -> str:
    lines = []
    for server in medians.values("server", section="host"):
        cells = []
        for uploads in ("mixed", "tiny"):
            where = {"section": "host", "server": server, "uploads": uploads}
            cells += [_number(medians.of("rate", **where)), _number(medians.of("server_cpu_ms", **where))]
        lines.append(f"| {server} | {' | '.join(cells)} |")
    if not lines:
        return ""
    head = "| server | mixed: requests/s | CPU ms | 64×64, no overlay: requests/s | CPU ms |\n|---|---|---|---|---|\n"
    return "## Free networks: the host's limit, 16 clients\n\n" + head + "\n".join(lines)


def _turns(rows: Rows) -> str:
    return f"## Of what the cores allow, with the embedded pair\n\n{table(rows)}" if rows else ""


def _service(medians: Medians, kind: str) -> str:
    lines = []
    for clients in sorted(medians.values("clients", section=kind)):
        for server in medians.values("server", section=kind, clients=clients):
            where = {"section": kind, "server": server, "clients": clients}
            figures = [
                medians.of(name, **where) for name in ("rate", "p50", "p95", "p99", "mean_batch", "server_cpu_ms")
            ]
            failed = sum(_failures(row) for row in medians.rows(**where))
            lines.append(f"| {clients} | {server} | {' | '.join(map(_number, figures))} | {failed} |")
    if not lines:
        return ""
    head = "| clients | server | requests/s | p50 ms | p95 ms | p99 ms | mean batch | CPU ms | failed |\n"
    return f"## With {KINDS[kind]}\n\n{head}|---|---|---|---|---|---|---|---|---|\n" + "\n".join(lines)


def _steadiness(medians: Medians) -> str:
    lines = [
        f"{row['seconds'] / 60:.0f} minutes at {row['clients']} clients: {sum(row['answers'].values())} answers, "
        f"{_failures(row)} failed; resident memory {early:.0f} MiB in the third minute, {late:.0f} MiB in the last; "
        f"p99 {row['p99']:.0f} ms."
        for row in medians.rows(section="steady")
        for early, late in [_memory(row)]
    ]
    return "## Steady load\n\n" + "\n".join(lines) if lines else ""


def _efficiency(medians: Medians) -> Iterator[Bar]:
    """On a CPU against what its cores allow, measured in turns; on a GPU against the networks' limit."""
    for clients in medians.values("clients", section="efficiency"):
        share = medians.of("efficiency", section="efficiency", clients=clients) or 0.0
        yield Bar(f"share of cores ÷ CPU seconds of networks and host work, {clients} clients", share, EFFICIENCY)
    machine = medians.rows(section="machine")
    sizes = medians.values("batch", section="limit", kind="embedded")
    if not machine or not sizes or str(machine[-1]["device"]) == "cpu":
        return
    for clients in (16, 64):
        where = {"section": "embedded", "server": OURS, "clients": clients}
        rate, batch = medians.of("rate", **where), medians.of("mean_batch", **where)
        if rate is None or batch is None:
            continue
        nearest = min(sizes, key=lambda size: abs(size - batch))
        limit = medians.of("rate", section="limit", kind="embedded", batch=nearest) or 1
        yield Bar(f"share of the networks' limit at batch {nearest}, {clients} clients", rate / limit, EFFICIENCY)


def _peers(medians: Medians) -> Iterator[Bar]:
    figures: tuple[tuple[str, str, tuple[int, ...], bool], ...] = (
        ("rate", "requests/s", (16, 64), False),
        ("p99", "p99", (16, 64), True),
        ("p50", "p50", (1,), True),
    )
    for kind in KINDS:
        for figure, name, counts, at_most in figures:
            for clients in counts:
                where = {"section": kind, "clients": clients}
                yield from _against(medians, figure, f"{name}, {clients} clients, {KINDS[kind]}", at_most, where)


def _before(medians: Medians) -> Iterator[Bar]:
    """Against the service before OpenVINO; the published pair computes in float32 in both."""
    wanted_rates = dict(BEFORE_RATES)
    if not medians.rows(section="machine", vnni=True):
        wanted_rates["embedded"] = BEFORE_RATE_WITHOUT_VNNI
    for kind, wanted in wanted_rates.items():
        rates = [medians.of("rate", section=kind, server=server, clients=16) for server in (OURS, BEFORE)]
        if rates[0] and rates[1]:
            yield Bar(f"requests/s, 16 clients, {KINDS[kind]}: ours ÷ that at 10c18cf", rates[0] / rates[1], wanted)
    alone = [medians.of("p50", section="embedded", server=server, clients=1) for server in (OURS, BEFORE)]
    if alone[0] and alone[1]:
        yield Bar(
            f"p50, 1 client, {KINDS['embedded']}: ours ÷ that at 10c18cf", alone[0] / alone[1], BEFORE_ALONE, True
        )


def _host(medians: Medians) -> Iterator[Bar]:
    yield from _against(medians, "rate", "host limit", False, {"section": "host", "uploads": "mixed"})
    where = {"section": "host", "uploads": "tiny"}
    # Mosec's front is not Python: its figure is stated, not a bar.
    yield from _against(
        medians, "server_cpu_ms", "framework's share", True, where, lambda peer: peer in ("LitServe", "BentoML")
    )


def _against(
    medians: Medians,
    figure: str,
    name: str,
    at_most: bool,
    where: Mapping[str, object],
    counts: Callable[[str], bool] = lambda peer: True,
) -> Iterator[Bar]:
    """Our figure over each peer's: at least 1, or at most."""
    ours = medians.of(figure, server=OURS, **where)
    for peer in medians.values("server", **where):
        theirs = medians.of(figure, server=peer, **where)
        if peer not in (OURS, BEFORE) and ours and theirs and counts(peer):
            yield Bar(f"{name}: ours ÷ {peer}'s", ours / theirs, 1.0, at_most)


def _pipeline(medians: Medians) -> Iterator[Bar]:
    published = medians.of("rate", section="pipeline", kind="published")
    for kind, wanted in (("embedded", FASTER), ("published", FASTER_PUBLISHED)):
        ours = medians.of("rate", section=kind, server=OURS, clients=16)
        if published and ours:
            yield Bar(f"service with {KINDS[kind]}, 16 clients ÷ published pipeline", ours / published, wanted)


def _steady(medians: Medians) -> Iterator[Bar]:
    for row in medians.rows(section="steady"):
        early, late = _memory(row)
        yield Bar("failed requests under steady load", _failures(row), 0, at_most=True)
        yield Bar("resident memory, last minute against the third: change", abs(late / early - 1), DRIFT, at_most=True)


def _memory(row: Mapping[str, Any]) -> tuple[float, float]:
    """Median MiB in the third minute and in the last; of a shorter run in its third tenth and its last."""
    samples, end = row["resident_mib"], row["resident_mib"][-1][0]
    minute = min(60.0, end / 10)
    early = [mib for at, mib in samples if 2 * minute <= at < 3 * minute] or [samples[0][1]]
    late = [mib for at, mib in samples if at >= end - minute]
    return median(early), median(late)


def _failures(row: Mapping[str, Any]) -> int:
    return sum(count for status, count in row["answers"].items() if status != "200")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}"
