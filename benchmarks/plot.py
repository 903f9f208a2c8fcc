"""The measurements of a run as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.servers import OURS
from benchmarks.tables import KINDS, Medians


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Requests a second and p99 by server and number of clients, a column of panels for each pair of networks."""
    from matplotlib.figure import Figure

    medians = Medians(rows)
    kinds = [kind for kind in KINDS if medians.rows(section=kind)]
    if not kinds:
        return
    figure = Figure(figsize=(6.5 * len(kinds), 8), layout="constrained")
    axes = figure.subplots(2, len(kinds), squeeze=False)
    for column, kind in enumerate(kinds):
        counts = sorted(medians.values("clients", section=kind))
        servers = medians.values("server", section=kind)
        for row, (name, label, scale) in enumerate((("rate", "requests a second", 1), ("p99", "p99, seconds", 1000))):
            panel = axes[row][column]
            width = 0.8 / len(servers)
            for index, server in enumerate(servers):
                heights = [
                    (medians.of(name, section=kind, server=server, clients=count) or 0) / scale for count in counts
                ]
                places = [place + (index - (len(servers) - 1) / 2) * width for place in range(len(counts))]
                panel.bar(places, heights, width, label=server, alpha=1.0 if server == OURS else 0.6)
            panel.set_xticks(range(len(counts)), [f"{count} clients" for count in counts])
            panel.set_ylabel(label)
            panel.spines[["top", "right"]].set_visible(False)
        limits = [
            medians.of("rate", section="limit", kind=kind, batch=b)
            for b in medians.values("batch", section="limit", kind=kind)
        ]
        known = [limit for limit in limits if limit]
        if known:
            axes[0][column].axhline(max(known), color="black", linewidth=0.8, linestyle="--", label="networks alone")
        axes[0][column].set_title(f"With {KINDS[kind]}")
        axes[0][column].legend(frameon=False)
    figure.savefig(file, dpi=110)
