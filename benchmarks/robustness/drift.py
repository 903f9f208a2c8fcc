"""Whether a service that ran for long is still what it was: the last sixth of its samples against the second.

The first sixth is left out: caches fill, pools start their threads and the allocator finds its size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

TOLERANCE: Final = 0.05
SPARE_DESCRIPTORS, SPARE_THREADS = 8, 2
"""Connections under way hold a descriptor each, so their number is never quite still."""
_SIXTHS: Final = 6
_NOISE: Final = 3.0
_MAD_TO_DEVIATION: Final = 1.4826
_MEDIAN_ERROR: Final = 1.2533
"""Standard error of a median over that of a mean."""


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment, and since the last.

    Attributes:
        at: seconds since the load began.
        p50_ms, p99_ms: of good requests that were answered since the last sample; None where none was.
        good, refused, left, failed: requests since the last sample: good ones answered 200, bad ones refused as they
            should be, clients that left, and answers that are in no order.
    """

    at: float
    resident_mib: float
    descriptors: int
    threads: int
    p50_ms: float | None
    p99_ms: float | None
    good: int
    refused: int
    left: int
    failed: int


@dataclass(frozen=True)
class Line:
    """One measure's two medians, and what the second may be."""

    name: str
    early: float
    late: float
    allowed: float

    @property
    def has_drifted(self) -> bool:
        return self.late > self.allowed


def compare(samples: Sequence[Sample]) -> list[Line]:
    """A line for each measure.

    Only growth counts. Latencies may also grow by what their windows scatter: a window's p99 is its one or two worst
    answers, and of an idle machine its neighbours' too.

    Raises:
        ValueError: fewer than six samples.
    """
    if len(samples) < _SIXTHS:
        raise ValueError(f"expected {_SIXTHS} samples at least, found {len(samples)}")
    size = len(samples) // _SIXTHS
    early, late = samples[size : 2 * size], samples[-size:]
    memory = [[sample.resident_mib for sample in part] for part in (early, late)]
    descriptors = [[float(sample.descriptors) for sample in part] for part in (early, late)]
    threads = [[float(sample.threads) for sample in part] for part in (early, late)]
    p50 = [[sample.p50_ms for sample in part if sample.p50_ms is not None] for part in (early, late)]
    p99 = [[sample.p99_ms for sample in part if sample.p99_ms is not None] for part in (early, late)]
    return [
        _line("resident MiB", memory, share=TOLERANCE),
        _line("descriptors", descriptors, spare=SPARE_DESCRIPTORS),
        _line("threads", threads, spare=SPARE_THREADS),
        _line("p50 ms", p50, share=TOLERANCE, noise=_NOISE),
        _line("p99 ms", p99, share=TOLERANCE, noise=_NOISE),
    ]


def _line(
    name: str, parts: Sequence[Sequence[float]], share: float = 0.0, spare: float = 0.0, noise: float = 0.0
) -> Line:
    """Of the early part and the late one; raises ValueError where nothing was measured."""
    early, late = parts
    if not early or not late:
        raise ValueError(f"no {name} was measured")
    scatter = noise * math.hypot(_error(early), _error(late))
    present = median(early)
    return Line(name, present, median(late), present + max(share * present, spare, scatter))


def _error(values: Sequence[float]) -> float:
    """Standard error of the median, by the values' own scatter."""
    centre = median(values)
    deviation = _MAD_TO_DEVIATION * median(abs(value - centre) for value in values)
    return _MEDIAN_ERROR * deviation / math.sqrt(len(values))
