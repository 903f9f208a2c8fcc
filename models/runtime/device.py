"""Which device and number format the networks run on."""

import ctypes
import logging
from collections.abc import Callable, Collection
from functools import partial
from importlib.util import find_spec
from typing import cast, get_args

from models.cards import Role
from models.runtime.errors import DeviceError
from models.runtime.openvino import supported_precisions
from models.runtime.precision import FASTEST_FIRST, Precision

logger = logging.getLogger("cxr.device")


def resolve_device(name: str) -> str:
    """``auto`` (a GPU when there is one), ``cpu``, ``cuda`` or ``cuda:N`` as ``cpu`` or ``cuda:N`` that exists.

    Raises:
        DeviceError: CUDA was asked for and there is no such GPU.
    """
    if is_cpu(name) or (name == "auto" and not _has_gpu()):
        return "cpu"
    if find_spec("torch") is None:
        if name != "auto":
            raise DeviceError(
                f"device {name!r}: expected PyTorch, which runs networks on GPUs (the extra torch), found none"
            )
        logger.warning("there is a GPU, but not PyTorch (the extra torch): networks run on the CPU")
        return "cpu"
    if name == "auto":
        return "cuda:0" if _cuda_count() else "cpu"
    number = int(name.partition(":")[2] or 0)
    count = _cuda_count()
    if number >= count:
        raise DeviceError(f"device {name!r}: expected an NVIDIA GPU of that number, found {count} GPUs")
    return f"cuda:{number}"


def is_cpu(device: str) -> bool:
    """Whether a device is a CPU."""
    return device == "cpu"


def resolve_precision(name: str, device: str, role: Role, holding: Collection[Precision] = ()) -> Precision:
    """The number format of one stage; any name but ``auto`` is itself.

    ``auto`` is on a CPU the fastest that the processor has and in which the weights hold, else float32; on a GPU
    float16 for stage II. Stage I stays in float32 there, as one pixel more or less of its mask moves the crop that
    stage II sees.

    Args:
        holding: number formats in which the weights may run unasked.

    Raises:
        DeviceError: no such format, or none of this device.
    """
    if name == "auto" and not is_cpu(device):
        return "float16" if role == "disease" else "float32"
    available = supported_precisions() if is_cpu(device) else {"float32", "bfloat16", "float16"}
    if name == "auto":
        return next((one for one in FASTEST_FIRST if one in available and one in holding), "float32")
    if name not in get_args(Precision):
        raise DeviceError(f"precision {name!r}: expected auto, {', '.join(get_args(Precision))}")
    if name not in available:
        raise DeviceError(f"precision {name!r}: expected one of this device's, {', '.join(sorted(available))}")
    return cast("Precision", name)


def default_batch_size(device: str) -> int:
    """Above it a larger batch gains no speed, and those in it wait the longer for each other."""
    return 1 if is_cpu(device) else 16


def memory_readers(device: str) -> dict[str, Callable[[], int]]:
    """Tell the bytes of a GPU's memory: ``allocated`` by tensors, ``reserved`` by this process. A CPU has none."""
    if is_cpu(device):
        return {}
    import torch

    return {
        "allocated": partial(torch.cuda.memory_allocated, device),
        "reserved": partial(torch.cuda.memory_reserved, device),
    }


def _cuda_count() -> int:
    """The GPUs that PyTorch finds."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _has_gpu() -> bool:
    """Whether NVIDIA's driver finds a GPU: asked of the driver itself, as loading PyTorch takes seconds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
