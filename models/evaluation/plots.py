"""The reports' pictures."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from models.evaluation.agreement import Agreement
from models.evaluation.configurations import FIGURE_2, Cost
from models.evaluation.outputs import Network
from models.evaluation.sweep import THRESHOLDS, Sweep
from models.weights.architectures import display_name

Lines: TypeAlias = Sequence[tuple[str, float]]

_OURS, _THEIRS = "#1b6ca8", "#c9c9c9"


def svg(figure: Figure) -> str:
    """The picture as SVG; the same figures give the same text."""
    file = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cxr", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode()
    return text[text.index("<svg") :]


def threshold_curves(sweeps: Mapping[str, Sweep], networks: Sequence[Network]) -> Figure:
    """Severity error by threshold, one curve per network; dot: the published threshold, cross: the least error."""
    figure, axes = _panel(7.5, 4.2)
    published = {network.name: network.threshold for network in networks}
    for name, one in sweeps.items():
        (line,) = axes.plot(THRESHOLDS, one.errors, label=name, linewidth=1.2)
        axes.plot(published[name], one.at(published[name]), "o", color=line.get_color(), markersize=5)
        axes.plot(one.best, one.at(one.best), "x", color=line.get_color(), markersize=7)
    axes.set_xlabel("threshold on a zone's diseased share (• published, × least error)")
    axes.set_ylabel("severity MAE")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, ncols=2)
    return figure


def errors_by_group(groups: Mapping[str, Mapping[str, Agreement]], readers: Agreement) -> Figure:
    """Severity error of every system in each group, with intervals, and the readers' own disagreement as a line."""
    figure, axes = _panel(7.5, 4.6)
    systems = list(next(iter(groups.values())))
    width = 0.8 / len(groups)
    for index, (group, found) in enumerate(groups.items()):
        places = np.arange(len(systems)) + (index - (len(groups) - 1) / 2) * width
        estimates = [found[system].mae for system in systems]
        values = [one.value for one in estimates]
        spans = [[one.value - one.low for one in estimates], [one.high - one.value for one in estimates]]
        axes.barh(places, values, width * 0.9, xerr=np.nan_to_num(spans), label=group, error_kw={"linewidth": 0.8})
    if np.isfinite(readers.mae.value):
        label = f"two readers on COVID-19, {readers.mae.value:.2f}"
        axes.axvline(readers.mae.value, color="black", linestyle="--", linewidth=0.9, label=label)
    axes.set_yticks(range(len(systems)), systems)
    axes.invert_yaxis()
    axes.set_xlabel("severity MAE, 95 % interval")
    axes.legend(frameon=False)
    return figure


def costs(found: Mapping[str, Cost], device: str) -> Figure:
    """In the form of the paper's Figure 2: parameters, arithmetic and, where measured, rate of each pair, ours beside
    the published."""
    names = [f"{display_name(name)}\nMAE {cost.mae:.2f}" for name, cost in found.items()]
    places = np.arange(len(names))
    panels: tuple[tuple[str, str, str], ...] = (
        ("parameters", "parameters, M", "published"),
        ("macs", "GMAC a radiograph", "published"),
        ("images_per_second", f"images/s, {device}", "published, RTX 2080 Ti"),
    )
    if any(np.isnan(cost.images_per_second) for cost in found.values()):
        panels = panels[:-1]
    figure = Figure(figsize=(1 + 2.9 * len(panels), 4.2), layout="constrained")
    for axes, (field, label, theirs) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        axes.barh(places + 0.2, [getattr(FIGURE_2[name], field) for name in found], 0.4, color=_THEIRS, label=theirs)
        axes.barh(places - 0.2, [getattr(cost, field) for cost in found.values()], 0.4, color=_OURS, label="here")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    return figure


def differences(scores: ArrayLike, reference: ArrayLike, found: Agreement) -> Figure:
    """Bland and Altman's plot; points are spread a little, because scores are whole numbers."""
    figure, axes = _panel(5.5, 3.6)
    scores, reference = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    rng = np.random.default_rng(0)
    spread = rng.uniform(-0.08, 0.08, (2, len(scores)))
    axes.scatter((scores + reference) / 2 + spread[0], scores - reference + spread[1], s=9, alpha=0.5, color=_OURS)
    for estimate, style in ((found.bias, "-"), (found.lower, "--"), (found.upper, "--")):
        axes.axhline(estimate.value, color="black", linestyle=style, linewidth=0.9)
    axes.set_xlabel("mean of score and consensus")
    axes.set_ylabel("score - consensus")
    return figure


def score_counts(counts: ArrayLike) -> Figure:
    """How many radiographs have each score and consensus: counts [7, 13], the consensus in half points."""
    figure, axes = _panel(6.5, 3.6)
    table = np.asarray(counts)
    axes.imshow(np.sqrt(table), cmap="Blues", origin="lower", aspect="auto")
    for row, column in zip(*np.nonzero(table), strict=True):
        dark = table[row, column] > table.max() / 4
        axes.text(column, row, str(table[row, column]), ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(13), [f"{half / 2:g}" for half in range(13)])
    axes.set_yticks(range(7))
    axes.set_xlabel("readers' consensus")
    axes.set_ylabel("score")
    axes.spines[:].set_visible(False)
    return figure


def calibration(found: ArrayLike, wanted: ArrayLike, counts: Sequence[int], label: str) -> Figure:
    """A calibration curve: what people said against the share found, both as the mean [B] of each bin."""
    figure, axes = _panel(4.6, 3.8)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    axes.plot(found, wanted, "o-", color=_OURS, linewidth=1.2)
    for x, y, count in zip(np.asarray(found), np.asarray(wanted), counts, strict=True):
        axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.set_xlabel("zone's diseased share, mean of the bin (number of zones)")
    axes.set_ylabel(label)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    return figure


def bars(lines: Lines, label: str) -> Figure:
    """One horizontal bar per line."""
    figure, axes = _panel(5.5, 0.6 + 0.32 * len(lines))
    axes.barh(range(len(lines)), [value for _, value in lines], color=_OURS)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return figure


def _panel(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
