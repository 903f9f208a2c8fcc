"""Resident memory of a process."""

from pathlib import Path
from typing import Final

import psutil

MEBIBYTE: Final = 2**20


def peak_kib(pid: int) -> int:
    """The most memory that a process had resident (``VmHWM``).

    This is not ``ru_maxrss``, which a new program takes over from the process that starts it.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak)


class Memory:
    """Resident memory of a process, and the most it was since ``forget``."""

    def __init__(self, pid: int) -> None:
        self._peaks = Path(f"/proc/{pid}/clear_refs")
        self._process = psutil.Process(pid)

    def resident_mib(self) -> float:
        """Now."""
        return self._process.memory_info().rss / MEBIBYTE

    def forget(self) -> None:
        """Lets the peak begin anew from what is resident now."""
        self._peaks.write_text("5")

    def peak_mib(self) -> float:
        """The most since then."""
        return peak_kib(self._process.pid) / 1024
