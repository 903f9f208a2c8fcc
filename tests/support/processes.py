"""Servers in processes of their own: their limits, until they answer, and their end."""

import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.polling import until

Process = subprocess.Popen[bytes]
SECONDS = 60.0


@contextmanager
def answering(
    command: Sequence[str | Path], log: Path, answers: Callable[[], bool], seconds: float = SECONDS, **options: Any
) -> Iterator[Process]:
    """Starts a server, waits until it answers, and ends it at exit.

    Args:
        log: the file that gets all it writes.
        options: of ``subprocess.Popen``.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        wait_answering(process, log, answers, seconds)
        yield process
    finally:
        end(process)


def wait_answering(process: Process, log: Path, answers: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Polls until a server answers.

    Args:
        answers: whether it does; may raise what is raised where nobody listens.

    Raises:
        RuntimeError: the process has ended; with the last of its log, as the other.
        TimeoutError: it does not answer.
    """

    def is_there() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: {_end_of(log)}")
        try:
            return answers()
        except (httpx.TransportError, OSError):
            return False

    try:
        until(is_there, "an answer", seconds, pause=0.02)
    except TimeoutError as late:
        raise TimeoutError(f"{late}: {_end_of(log)}") from None


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]


def end(process: Process, seconds: float = SECONDS) -> int:
    """Ends a process; its exit status.

    Raises:
        subprocess.TimeoutExpired: it did not heed the signal, and was killed.
    """
    process.terminate()
    try:
        return process.wait(seconds)
    finally:
        process.kill()
        process.wait()


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Lets this process, and those that it starts, have so many descriptors open.

    Raises:
        ValueError: the system allows fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
