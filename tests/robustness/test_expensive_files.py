"""Files that keep every limit and cost the most: what decoding one takes, in a process of its own."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

import pytest
from pydicom import uid

from benchmarks.robustness.fuzz_worker import ACCEPTED, Answer, examine
from benchmarks.robustness.seeds import seeds
from tests.robustness.bombs import BOMBS, TOO_LARGE, large_deep_colour, large_dicom, scans

SECONDS: Final = 2.0
"""CPU time. There is a host thread more than processors, and a decoder cannot be stopped: others wait that long."""
GROWTH_MIB: Final = 600
"""Twelve bytes a pixel at the default limit: the deepest PNG's own eight, and half as much to work with."""
BOMBS_GROWTH_MIB: Final = 200


def examined(upload: bytes) -> tuple[Answer, float]:
    """What came of it, and the memory that it took, MiB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        resting = pool.submit(examine, seeds()["PNG deep RGBA"]).result()
        answer = pool.submit(examine, upload).result()
    return answer, (answer.resident_kib - resting.resident_kib) / 1024


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(scans, 7000, 20), id="JPEG of 49 million pixels"),
        pytest.param(partial(scans, 7000, 256), id="JPEG of 256 scans"),
        pytest.param(large_deep_colour, id="PNG of 16-bit colour"),
        *(
            pytest.param(partial(large_dicom, syntax), id=f"DICOM, {uid.UID(syntax).keyword}")
            for syntax in (
                uid.JPEG2000Lossless,
                uid.JPEGLSLossless,
                uid.DeflatedExplicitVRLittleEndian,
                uid.HTJ2KLossless,
            )
        ),
    ],
)
def test_the_most_expensive_file_costs_no_more_than_stated(make: Callable[[], bytes]) -> None:
    # In a process of its own as well: what making it takes would count as the decoder's peak.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        upload = pool.submit(make).result()
    assert len(upload) < 1_000_000, "the upload must be small"
    answer, grown_mib = examined(upload)
    # Whether it is refused or read is the service's choice.
    assert answer.outcome in (ACCEPTED, "unreadable_image", "image_too_large"), answer.fault
    assert answer.seconds < SECONDS
    assert grown_mib < GROWTH_MIB


@pytest.fixture(scope="module")
def decoder() -> Iterator[tuple[ProcessPoolExecutor, int]]:
    """One process for all bombs, and the most memory it had, KiB, after a small file of each format."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        *_, last = [pool.submit(examine, seed).result() for seed in seeds().values()]
        yield pool, last.resident_kib


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(decoder: tuple[ProcessPoolExecutor, int], name: str) -> None:
    pool, resting_kib = decoder
    answer = pool.submit(examine, BOMBS[name]()).result()
    expected = {"image_too_large"} if name in TOO_LARGE else {ACCEPTED, "unreadable_image"}
    assert answer.outcome in expected, answer.fault
    assert answer.seconds < SECONDS
    assert (answer.resident_kib - resting_kib) / 1024 < BOMBS_GROWTH_MIB
