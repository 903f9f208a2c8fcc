"""What the process's allocator does with memory that is freed."""

import ctypes
from typing import Final

# malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX and M_ARENA_MAX.
_MALLOPT: Final = {-1: 2**31 - 1, -2: 64 * 2**20, -4: 0, -8: 1}


def keep_freed_memory() -> bool:
    """Lets glibc's allocator keep what is freed instead of giving it back to the kernel after every picture.

    Pictures are large, so each would be mapped, cleared page by page and unmapped again. One arena for all threads, as
    only the main one can hold pictures of any size without mapping them.

    Returns:
        Whether it was set; not with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(parameter, value) for parameter, value in _MALLOPT.items())
