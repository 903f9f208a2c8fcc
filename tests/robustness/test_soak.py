"""A soak of seconds, and the verdict on samples whose drift is known."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks.robustness.drift import Sample, compare
from benchmarks.robustness.soak import main

# Pillow warns of the damaged files that are sent.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SAMPLES = 360
P50, P99 = 50.0, 200.0
STEADY = Sample(0.0, 800.0, 40, 20, P50, P99, 60, 16, 4, 0)


def samples(late: Sample = STEADY, noise: float = 0.0) -> list[Sample]:
    """An hour of samples that go from ``STEADY`` to ``late`` evenly, latencies with random noise."""
    rng = Random(0)  # noqa: S311 - to be repeated
    made = []
    for number in range(SAMPLES):
        share = number / (SAMPLES - 1)
        luck = rng.gauss(1, noise)
        made.append(
            replace(
                STEADY,
                at=number * 10.0,
                resident_mib=STEADY.resident_mib + share * (late.resident_mib - STEADY.resident_mib),
                descriptors=round(STEADY.descriptors + share * (late.descriptors - STEADY.descriptors)),
                threads=round(STEADY.threads + share * (late.threads - STEADY.threads)),
                p50_ms=luck * (P50 + share * ((late.p50_ms or P50) - P50)),
                p99_ms=luck * (P99 + share * ((late.p99_ms or P99) - P99)),
            )
        )
    return made


def drifted(found: list[Sample]) -> set[str]:
    return {line.name for line in compare(found) if line.has_drifted}


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_what_is_steady_does_not_drift(noise: float) -> None:
    assert not drifted(samples(noise=noise))


@pytest.mark.parametrize(
    ("grown", "names"),
    [
        ({"resident_mib": 880.0}, {"resident MiB"}),
        ({"descriptors": 60}, {"descriptors"}),
        ({"threads": 25}, {"threads"}),
        ({"p50_ms": 56.0}, {"p50 ms"}),
        ({"p99_ms": 240.0}, {"p99 ms"}),
        ({"resident_mib": 900.0, "p99_ms": 300.0}, {"resident MiB", "p99 ms"}),
    ],
)
def test_growth_is_found(grown: dict[str, float], names: set[str]) -> None:
    assert drifted(samples(replace(STEADY, **grown), noise=0.02)) == names


def test_what_shrinks_does_not_drift() -> None:
    assert not drifted(samples(replace(STEADY, resident_mib=500.0, descriptors=9, threads=9, p50_ms=9.0, p99_ms=9.0)))


def test_the_first_sixth_does_not_count() -> None:
    found = samples()
    warming = [replace(sample, resident_mib=300.0 + number) for number, sample in enumerate(found[: SAMPLES // 6])]
    assert not drifted(warming + found[SAMPLES // 6 :])


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="6 samples"):
        compare(samples()[:5])


def test_a_soak_of_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--minutes", "0.2", "--load", "0.4", "--workflow", "free", "--every", "1", "--folder", str(tmp_path))
    status = main([*arguments, "--env", "CXR_LOG_LEVEL=WARNING"])
    found = json.loads((tmp_path / "soak.json").read_text())
    # A few seconds say nothing of drift, but all of them say whether requests are answered.
    assert found["faults"] == {}
    drifts = any(line["late"] > line["allowed"] for line in found["lines"])
    assert (found["passed"], status) == (not drifts, int(drifts))
    assert 10 <= len(found["samples"]) <= 12
    assert sum(sample["good"] for sample in found["samples"]) > 20
    assert sum(sample["refused"] for sample in found["samples"]) > 3
    assert all(sample["resident_mib"] > 50 and sample["threads"] > 2 for sample in found["samples"])
    assert "| resident MiB |" in capsys.readouterr().out
    assert found["environment"]["CXR_LOG_LEVEL"] == "WARNING"
