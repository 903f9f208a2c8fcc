"""Thousands of mutated files: each is a radiograph or a problem of the client's, in the decoder and over HTTP."""

import json
import os
import signal
from functools import cache
from pathlib import Path

import httpx
import pytest

from app.intake import Limits, Radiograph, decode
from benchmarks.robustness.fuzz import Campaign
from benchmarks.robustness.fuzz_worker import Bounds
from benchmarks.robustness.mutations import build_case
from benchmarks.robustness.seeds import seeds
from models.runtime.processors import available_cpus
from tests.support.server import Server

SEED, HOSTILE_SEED = 20261123, 20261132
DECODED, SENT, HOSTILE = 2000, 200, 60
SEEDS = seeds()
FORMATS = {"PNG", "JPEG", "TIFF", "BMP", "DICOM"}


@pytest.mark.parametrize("name", SEEDS)
def test_every_seed_is_a_radiograph(name: str) -> None:
    radiograph = decode(SEEDS[name], Limits())
    assert radiograph.format == name.split()[0]
    assert {radiograph.width, radiograph.height} == {80, 96}
    assert radiograph.pixels.std() > 10


def test_the_same_number_is_the_same_file() -> None:
    assert build_case(SEED, 7, SEEDS) == build_case(SEED, 7, SEEDS)
    digests = {build_case(SEED, index, SEEDS).digest for index in range(300)}
    assert len(digests) > 290, "files hardly repeat"


def test_mutated_files_are_radiographs_or_problems(tmp_path: Path) -> None:
    tally = Campaign(DECODED, SEED, tmp_path).run(available_cpus())
    assert not tally.failures, tally.table()
    assert tally.files == DECODED
    # Edits that every file fails on at its first bytes would test nothing behind them.
    assert set(tally.formats) == FORMATS
    assert DECODED / 10 < tally.outcomes["accepted"] < DECODED * 9 / 10
    refused = {"unreadable_image", "image_too_large", "image_too_small", "unsupported_format", "unsupported_dicom"}
    assert refused <= set(tally.outcomes)


@cache
def hostile_files() -> dict[bytes, int]:
    """The campaign's files that are no seed, numbered 0 to 14 over and over."""
    files = (build_case(HOSTILE_SEED, index, SEEDS).data for index in range(HOSTILE))
    return {data: number % 15 for number, data in enumerate(data for data in files if data not in SEEDS.values())}


def hostile_decoder(data: bytes, limits: Limits) -> Radiograph:
    """Dies, hangs, fails or eats memory on four files of fifteen."""
    match hostile_files().get(data):
        case 0:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 1:
            while True:
                pass
        case 2:
            raise LookupError("no problem of ours")
        case 3:
            bytearray(1 << 40)
    return decode(data, limits)


def test_crashes_hangs_and_faults_belong_to_their_file(tmp_path: Path) -> None:
    tally = Campaign(HOSTILE, HOSTILE_SEED, tmp_path, Bounds(seconds=0.5), hostile_decoder).run(1)
    kinds = {
        0: "crash, SIGSEGV",
        1: "takes too long",
        2: "neither picture nor problem",
        3: "neither picture nor problem",
    }
    cases = [build_case(HOSTILE_SEED, index, SEEDS) for index in range(HOSTILE)]
    faults = {case.index: kinds.get(hostile_files().get(case.data, -1)) for case in cases}
    expected = [(case.index, kind, case.digest) for case in cases if (kind := faults[case.index])]
    assert {kind for _, kind, _ in expected} == set(kinds.values()), "each once at least"
    assert sorted(tally.failures) == expected
    assert tally.files == HOSTILE
    for index, kind, digest in expected:
        assert (tmp_path / f"{digest}.bin").read_bytes() == cases[index].data
        note = json.loads((tmp_path / f"{digest}.json").read_text())
        assert (note["index"], note["kind"]) == (index, kind)
        assert ("Segmentation fault" in note["told"]) == (kind == "crash, SIGSEGV")
    assert "| crashes | " in tally.table()


def test_mutated_uploads_are_never_our_fault(free_service: Server) -> None:
    statuses = set()
    for index in range(SENT):
        case = build_case(SEED + 1, index, SEEDS)
        answer = _sent(free_service, case.data, as_form=index % 2 == 0)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (case, answer.text)
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
    assert {200, 415, 422} <= statuses
    assert free_service.process.poll() is None
    assert free_service.client.get("/health/ready").status_code == 200
    assert not [line for line in free_service.log_lines() if line["message"] == "bug"]


def _sent(server: Server, upload: bytes, as_form: bool) -> httpx.Response:
    if as_form:
        return server.client.post("/score", files={"file": upload})
    return server.client.post("/segment?contours=true", content=upload)
