"""The processors this process may use (a container's quota counts, not the machine's cores) and its memory."""

import ctypes
import math
import os
from pathlib import Path

import cv2
import torch

_CGROUP = Path("/sys/fs/cgroup")

# malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX and M_ARENA_MAX.
_MALLOPT = {-1: 2**31 - 1, -2: 64 * 2**20, -4: 0, -8: 1}


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Processors in the affinity mask, or fewer where the cgroup (v2 or v1) has a quota; 1 at least."""
    processors = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return processors if quota is None else max(1, min(processors, math.ceil(quota)))


def limit_threads() -> None:
    """Gives torch's CPU arithmetic as many threads as there are processors for it, unless OMP_NUM_THREADS says.

    OpenCV gets none of its own: radiographs are prepared side by side already, and handing a few hundred
    microseconds of work to other threads costs more than it saves.
    """
    cv2.setNumThreads(1)
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


def keep_freed_memory() -> bool:
    """Lets glibc's allocator keep what is freed instead of giving it back to the kernel after every tensor.

    A network's intermediate tensors are large, so each would be mapped, cleared page by page and unmapped again. One
    arena for all threads, as only the main one can hold tensors of any size without mapping them.

    Returns:
        Whether it was set; not with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(parameter, value) for parameter, value in _MALLOPT.items())
