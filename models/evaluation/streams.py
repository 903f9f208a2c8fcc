"""Tries the drift alert's rule on streams of radiographs that are made of a pack."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.evaluation.tables import markdown
from models.pack import Case
from models.pixels import Pixels
from models.quality.drift import DISTANCE_LIMIT, Measures, Reference, distance, reference
from models.workflow import Workflow

_FLAT = 0.25
"""The part of the contrast that is left in the low-contrast stream."""


@dataclass(frozen=True)
class Stream:
    """A kind of stream, made of a pack's radiographs.

    Attributes:
        keep: which radiographs are in it.
        change: what was done to them, uint8 [H, W] each.
        rings: whether the alert should ring.
    """

    name: str
    keep: Callable[[Case], bool]
    change: Callable[[Pixels], Pixels]
    rings: bool


@dataclass(frozen=True)
class Drift:
    """How far samples of a stream are from the reference.

    Attributes:
        radiographs: in the stream, from which samples are drawn with replacement.
        distances: the median over the samples, by measure.
        rang: share of samples with at least one measure over the limit.
    """

    stream: Stream
    radiographs: int
    distances: Mapping[str, float]
    rang: float


def _everything(case: Case) -> bool:
    return True


def _is_child(case: Case) -> bool:
    return case.is_normal and case.age_group == "child"


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels


def _inverted(pixels: Pixels) -> Pixels:
    return np.asarray(255 - pixels, np.uint8)


def _flattened(pixels: Pixels) -> Pixels:
    mean = float(pixels.mean())
    return np.asarray(np.rint(mean + _FLAT * (pixels - mean)), np.uint8)


STREAMS: Final = (
    Stream("reshuffled", _everything, _as_it_is, rings=False),
    Stream("inverted", _everything, _inverted, rings=True),
    Stream("low in contrast", _everything, _flattened, rings=True),
    Stream("children only", _is_child, _as_it_is, rings=True),
)


def card_reference(workflow: Workflow) -> dict[str, tuple[float, ...]]:
    """Both cards' references together; empty if they have none."""
    cards = (workflow.lungs.card, workflow.disease.card)
    return {name: shares for card in cards if card for name, shares in card.reference.items()}


def measure(
    workflow: Workflow, cases: Iterable[Case], change: Callable[[Pixels], Pixels] = _as_it_is
) -> list[Measures]:
    """The measures of each case."""
    return [workflow.analyse(change(case.pixels)).measures for case in cases]


def drift(stream: Stream, measured: Sequence[Measures], known: Reference, size: int, samples: int, seed: int) -> Drift:
    """Draws ``samples`` samples of ``size`` radiographs and compares each with the reference."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, float]] = []
    for _ in range(samples):
        sample = reference(measured[index] for index in rng.integers(len(measured), size=size))
        found.append({name: distance(shares, known[name]) for name, shares in sample.items() if name in known})
    medians = {name: float(np.median([distances.get(name, 0.0) for distances in found])) for name in known}
    rang = np.mean([max(distances.values()) > DISTANCE_LIMIT for distances in found])
    return Drift(stream, len(measured), medians, float(rang))


def report(found: Sequence[Drift], size: int) -> str:
    """A Markdown table of what ``drift`` found."""
    measures = list(found[0].distances)
    header = ["stream", "radiographs", *(name.replace("_", " ") for name in measures), f"samples of {size} that ring"]
    rows = [
        [
            item.stream.name,
            str(item.radiographs),
            *(f"{item.distances[name]:.2f}" for name in measures),
            f"{item.rang:.1%}",
        ]
        for item in found
    ]
    return markdown(header, rows)
