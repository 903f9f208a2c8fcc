"""How many processors this process may use: a container's quota counts, not the machine's cores."""

import math
import os
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Processors in the affinity mask, or fewer where the cgroup (v2 or v1) has a quota; 1 at least."""
    processors = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return processors if quota is None else max(1, min(processors, math.ceil(quota)))


def limit_threads() -> None:
    """Gives torch's CPU arithmetic as many threads as there are processors for it, unless OMP_NUM_THREADS says."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(available_cpus())


def _quota(cgroup: Path) -> float | None:
    """Processors' worth of time a period; None without a limit."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        paths = [cgroup / file for file in files]
        if all(path.is_file() for path in paths):
            quota, period = " ".join(path.read_text() for path in paths).split()[:2]
            return float(quota) / float(period) if quota.isdigit() and int(quota) else None
    return None
