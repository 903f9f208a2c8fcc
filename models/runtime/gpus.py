"""The NVIDIA GPUs of this machine, and why PyTorch cannot use one of them.

The driver itself is asked first: loading PyTorch takes seconds, and PyTorch says only that there is no CUDA.
"""

import ctypes
import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

_DRIVER: Final = "libcuda.so.1"
_NO_DEVICE: Final = 100
"""CUDA_ERROR_NO_DEVICE, from a driver without a GPU."""


def are_there() -> bool:
    """Whether there is a GPU with its driver, usable or not."""
    status = _driver_status()
    return _driver_count() > 0 if status == 0 else status not in (None, _NO_DEVICE)


def fault(number: int) -> str | None:
    """Why PyTorch cannot use the GPU of that number: what is needed and what was found; None if it can."""
    found = _driver_fault()
    if found is not None:
        return found
    if find_spec("torch") is None:
        return "expected PyTorch, which runs networks on GPUs (the extra torch), found none"
    return _torch_fault(number)


def precisions(device: str) -> frozenset[str]:
    """The number formats that a GPU computes in."""
    import torch

    has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    return frozenset({"float32", "float16"} | ({"bfloat16"} if has_bfloat16 else set()))


def name(device: str) -> str:
    """What a GPU calls itself, and its compute capability."""
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)} (sm_{major}{minor})"


def _driver_status() -> int | None:
    """The status of the driver's start; None without a driver."""
    try:
        return int(ctypes.CDLL(_DRIVER).cuInit(0))
    except OSError:
        return None


def _driver_count() -> int:
    count = ctypes.c_int()
    return count.value if ctypes.CDLL(_DRIVER).cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def _driver_version() -> tuple[int, int]:
    """The newest CUDA that the driver runs."""
    version = ctypes.c_int()
    ctypes.CDLL(_DRIVER).cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000, version.value % 1000 // 10


def _driver_fault() -> str | None:
    status = _driver_status()
    if status is None:
        return f"expected an NVIDIA GPU and its driver, found no driver ({_DRIVER})"
    if status not in (0, _NO_DEVICE):
        return f"expected NVIDIA's driver to start, found its error {status} (see nvidia-smi)"
    if status == _NO_DEVICE or not _driver_count():
        return "expected an NVIDIA GPU, found its driver and 0 GPUs"
    return None


def _torch_fault(number: int) -> str | None:
    import torch

    built_for = torch.version.cuda
    if built_for is None:
        return f"expected a PyTorch for CUDA, found {torch.__version__}"
    driver = _driver_version()
    if driver[0] < int(built_for.partition(".")[0]):
        return f"expected a driver for CUDA {built_for}, found one for CUDA {driver[0]}.{driver[1]}: update it"
    if not torch.cuda.is_available():
        return f"expected PyTorch to find CUDA, found {torch.__version__} without it (see nvidia-smi)"
    count = torch.cuda.device_count()
    if number >= count:
        return f"expected an NVIDIA GPU of number {number}, found {count} GPUs"
    capability = torch.cuda.get_device_capability(number)
    if not _is_built_for(capability, torch.cuda.get_arch_list()):
        kinds = ", ".join(torch.cuda.get_arch_list())
        return f"expected a GPU for which PyTorch is built ({kinds}), found {name(f'cuda:{number}')}"
    return None


def _is_built_for(capability: tuple[int, int], kinds: Iterable[str]) -> bool:
    """Whether code for ``kinds``, such as ``sm_80`` and ``compute_90``, runs on a GPU.

    Machine code (``sm``) runs on its major version, from its minor version on. Code that is compiled when it is loaded
    (``compute``) runs on any later GPU.
    """
    for kind in kinds:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)", kind)
        if match is None:
            continue
        major, minor = int(match[2]), int(match[3])
        if (major, minor) <= capability and (match[1] == "compute" or major == capability[0]):
            return True
    return False
