"""Parameters, multiply-accumulates and latency of the nine architectures in both roles, beside the paper's Figure 2."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from models.evaluation.configurations import CONFIGURATIONS, FIGURE_2, STAGE_I, Configuration, Cost
from models.evaluation.costs import demand, latencies_ms, untrained_network
from models.evaluation.tables import markdown
from models.runtime.device import resolve_precision
from models.runtime.stage import Stage
from models.weights.architectures import display_name
from models.weights.cards import Role
from models.weights.networks import build_network
from models.weights.published import preprocessing

_GRAY_BYTES: dict[Role, int] = {"lungs": 1, "disease": 4}


@dataclass(frozen=True)
class Measured:
    """What one network costs for one radiograph.

    Attributes:
        parameters: in millions.
        macs: multiply-accumulates, in thousands of millions.
        macs_as_published: without those of an EfficientNet encoder. Except U-Net's, the published figures are these,
            as if the authors' counter had skipped that library's own kind of convolution.
        latency_ms: None if not measured.
    """

    configuration: Configuration
    parameters: float
    macs: float
    macs_as_published: float
    latency_ms: float | None = None


def select(architectures: Sequence[str], input_size: int | None = None) -> list[Configuration]:
    """The paper's networks of some architectures (all if none is named), at their own input size or another.

    Figure 2's stage I is always among them.
    """
    return [
        one if input_size is None else replace(one, input_size=input_size)
        for one in CONFIGURATIONS
        if not architectures or one.architecture in architectures or _is_stage_i(one)
    ]


def count(configurations: Iterable[Configuration]) -> list[Measured]:
    """Counts parameters and multiply-accumulates without computing any answer."""
    return [_counted(one) for one in configurations]


def clock(measured: Sequence[Measured], device: str, rounds: int) -> list[Measured]:
    """Adds latencies for batches of one, as the service runs a network.

    Each network is timed in turn with the paper's stage I, so that their sum is from one moment, and only two are in
    memory.
    """
    stage_i = next(one.configuration for one in measured if _is_stage_i(one.configuration))
    first = _stage(stage_i, device)
    timed, of_stage_i = [], []
    for one in measured:
        if _is_stage_i(one.configuration):
            timed.append(one)
            continue
        alone, beside = latencies_ms([_stage(one.configuration, device), first], rounds)
        of_stage_i.append(beside)
        timed.append(replace(one, latency_ms=alone))
    middle = sorted(of_stage_i)[len(of_stage_i) // 2] if of_stage_i else latencies_ms([first], rounds)[0]
    return [replace(one, latency_ms=middle) if _is_stage_i(one.configuration) else one for one in timed]


def pairs(measured: Sequence[Measured]) -> dict[str, Cost]:
    """As in Figure 2, each stage II with the paper's stage I, by architecture, the smallest published error first.

    ``images_per_second`` is NaN without latencies; the error is the published one.
    """
    first = next(one for one in measured if _is_stage_i(one.configuration))
    second = {one.configuration.architecture: one for one in measured if one.configuration.role == "disease"}
    return {
        name: Cost(
            mae=FIGURE_2[name].mae,
            images_per_second=_rate(first, second[name]),
            parameters=first.parameters + second[name].parameters,
            macs=first.macs + second[name].macs,
        )
        for name in FIGURE_2
        if name in second
    }


def report(measured: Sequence[Measured], device: str) -> str:
    """Markdown: every network by itself, then the pairs beside the published figures."""
    alone = [
        (
            {"lungs": "I", "disease": "II"}[one.configuration.role],
            display_name(one.configuration.architecture),
            one.configuration.encoder,
            str(one.configuration.input_size),
            f"{one.parameters:.1f}",
            f"{one.macs:.1f}",
            "–" if one.latency_ms is None else f"{one.latency_ms:.0f}",
        )
        for one in measured
    ]
    header = ("stage", "architecture", "encoder", "input", "parameters, M", "GMAC", f"ms on {device}, batch of 1")
    return f"{markdown(header, alone)}\n\n{_pairs_table(measured, device)}\n"


def _pairs_table(measured: Sequence[Measured], device: str) -> str:
    found = pairs(measured)
    first = next(one for one in measured if _is_stage_i(one.configuration))
    second = {one.configuration.architecture: one for one in measured if one.configuration.role == "disease"}
    header = (
        *("stage II, after DeepLabV3+", "published MAE", "parameters, M", "published"),
        *("GMAC", "without EfficientNet encoders", "published"),
        *(f"images/s on {device}", "published, RTX 2080 Ti"),
    )
    lines = []
    for name, cost in found.items():
        said = FIGURE_2[name]
        rate = "–" if cost.images_per_second != cost.images_per_second else f"{cost.images_per_second:.2f}"
        without = first.macs_as_published + second[name].macs_as_published
        counted = (f"{cost.macs:.1f}", f"{without:.1f}", f"{said.macs:.1f}")
        ours = (f"{cost.parameters:.1f}", f"{said.parameters:.1f}", *counted, rate)
        lines.append((display_name(name), f"{said.mae:.3f}", *ours, f"{said.images_per_second:.1f}"))
    return markdown(header, lines)


def _is_stage_i(one: Configuration) -> bool:
    return one.role == "lungs" and one.architecture == STAGE_I


def _counted(one: Configuration) -> Measured:
    network = build_network(one.architecture, one.encoder, classification_head=one.role == "disease")
    needed = demand(network, one.input_size, _GRAY_BYTES[one.role])
    passed_over = needed.in_encoder if one.encoder.startswith("efficientnet") else 0
    macs = [operations / 2 / 1e9 for operations in (needed.operations, needed.operations - passed_over)]
    return Measured(one, needed.parameters / 1e6, *macs)


def _stage(one: Configuration, device: str) -> Stage:
    mean, std = preprocessing(one.encoder)
    head = one.role == "disease"
    network = untrained_network(one.architecture, one.encoder, classification_head=head)
    stage = Stage(network, one.input_size, mean, std, device, resolve_precision("auto", device, one.role))
    stage.warm_up(1)
    return stage


def _rate(first: Measured, second: Measured) -> float:
    if first.latency_ms is None or second.latency_ms is None:
        return float("nan")
    return 1000 / (first.latency_ms + second.latency_ms)
