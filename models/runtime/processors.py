"""The processors this process may use: a container's quota counts, not the machine's cores."""

import math
import os
from pathlib import Path

import cv2

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Processors in the affinity mask, or fewer if the cgroup (v2 or v1) has a quota; at least 1."""
    processors = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return processors if quota is None else max(1, min(processors, math.ceil(quota)))


def limit_threads() -> None:
    """Gives OpenCV no threads of its own: radiographs are prepared side by side already.

    Handing a few hundred microseconds of work to other threads costs more than it saves.
    """
    cv2.setNumThreads(1)


def _quota(cgroup: Path) -> float | None:
    """The quota in processors; None without a limit."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        paths = [cgroup / file for file in files]
        if all(path.is_file() for path in paths):
            quota, period = " ".join(path.read_text() for path in paths).split()[:2]
            return float(quota) / float(period) if quota.isdigit() and int(quota) else None
    return None
