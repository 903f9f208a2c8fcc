"""The process in which hostile files are decoded: bounded in memory and time, and free to die."""

import faulthandler
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from app.errors import Problem
from app.intake import Limits, Radiograph, decode, dicom
from benchmarks.robustness.memory import peak_kib
from benchmarks.robustness.mutations import build_case

Decode: TypeAlias = Callable[[bytes, Limits], Radiograph]
ACCEPTED: Final = "accepted"
_SERVER_FAULT: Final = 500


@dataclass(frozen=True)
class Answer:
    """What came of one file.

    Attributes:
        outcome: ``accepted`` or a problem's code; None where it was neither.
        fault: then, what it was instead.
        format: of an accepted picture.
        seconds: CPU time.
        resident_kib: largest resident memory of the process so far.
    """

    outcome: str | None
    fault: str
    format: str
    seconds: float
    resident_kib: int


@dataclass(frozen=True)
class Bounds:
    """What one file may cost.

    Attributes:
        memory_mib: address space on top of what the process has when it starts on files.
        seconds: CPU time, of all threads.
    """

    memory_mib: int = 2048
    seconds: float = 10.0


def work(pipe: Connection, seeds: dict[str, bytes], seed: int, bounds: Bounds, decoder: Decode, stderr: Path) -> None:
    """Takes numbers of files from ``pipe`` and answers each with an ``Answer``, until it is closed.

    A file that takes too long ends the process by SIGPROF, in whatever library it is: nobody can hold that signal up.
    """
    _write_errors_to(stderr)
    dicom.configure()
    cv2.setNumThreads(1)
    for data in seeds.values():
        examine(data, decoder)
    _limit_memory(bounds.memory_mib)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    pipe.send(peak_kib(os.getpid()))
    while True:
        try:
            index = pipe.recv()
        except EOFError:
            return
        case = build_case(seed, index, seeds)
        os.ftruncate(2, 0)
        signal.setitimer(signal.ITIMER_PROF, bounds.seconds)
        answer = examine(case.data, decoder)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(answer)


def examine(data: bytes, decoder: Decode = decode) -> Answer:
    """Decodes one file; only a whole radiograph or a problem of the client's is in order."""
    started = time.process_time()
    outcome: str | None
    fault = kind = ""
    try:
        radiograph = decoder(data, Limits())
        fault, kind = _faults(radiograph), radiograph.format
        outcome = None if fault else ACCEPTED
    except Problem as problem:
        outcome = problem.code if problem.status < _SERVER_FAULT else None
        fault = "" if outcome else traceback.format_exc()
    except Exception:  # noqa: BLE001 - whatever else comes is what is looked for
        outcome, fault = None, traceback.format_exc()
    return Answer(outcome, fault, kind, time.process_time() - started, peak_kib(os.getpid()))


def _faults(found: Radiograph) -> str:
    """What is wrong with a radiograph, or nothing."""
    pixels, limits = found.pixels, Limits()
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or not pixels.flags.c_contiguous:
        return f"pixels are {pixels.dtype} {pixels.shape}, contiguous: {pixels.flags.c_contiguous}"
    if min(pixels.shape) < limits.min_side or max(pixels.shape) > limits.max_side or pixels.size > limits.max_pixels:
        return f"{pixels.shape} is out of bounds"
    return ""


def _write_errors_to(file: Path) -> None:
    """What libraries say of damaged files, and the stack of a crash."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(2)


def _limit_memory(mebibytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # A core of a decoder's process would be gigabytes of nothing.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
