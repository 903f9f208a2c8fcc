"""Which device and number format the networks run on."""

from collections.abc import Callable
from functools import partial
from typing import cast, get_args

import torch

from models.checkpoints import Role
from models.precision import Precision


class DeviceError(ValueError):
    """The device that was asked for is not there."""


def resolve_device(name: str) -> torch.device:
    """``auto`` (a GPU when there is one), ``cpu``, ``cuda`` or ``cuda:N`` as a device that exists.

    Raises:
        DeviceError: CUDA was asked for and there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= count:
        raise DeviceError(f"device {name!r}: expected an NVIDIA GPU of that number, found {count} GPUs")
    return torch.device("cuda", device.index or 0)


def resolve_precision(name: str, device: torch.device, role: Role) -> Precision:
    """The number format of one stage; any name but ``auto`` is itself.

    ``auto`` is float32, but on a GPU float16 for stage II. Stage I stays in float32, as one pixel more or less of its
    mask moves the crop that stage II sees.
    """
    if name == "auto":
        return "float16" if device.type == "cuda" and role == "disease" else "float32"
    for precision in get_args(Precision):
        if name == precision:
            return cast("Precision", precision)
    raise DeviceError(f"precision {name!r}: expected auto, float32, bfloat16 or float16")


def default_batch_size(device: torch.device) -> int:
    """Above it a larger batch gains no speed, and those in it wait the longer for each other."""
    return 16 if device.type == "cuda" else 4


def memory_readers(device: torch.device) -> dict[str, Callable[[], int]]:
    """Tell the bytes of a GPU's memory: ``allocated`` by tensors, ``reserved`` by this process. A CPU has none."""
    if device.type != "cuda":
        return {}
    return {
        "allocated": partial(torch.cuda.memory_allocated, device),
        "reserved": partial(torch.cuda.memory_reserved, device),
    }


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch might have fitted."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError))


def is_device_lost(error: BaseException) -> bool:
    """Whether the error has poisoned the device's context, so that nothing more can be computed in this process."""
    return isinstance(error, torch.AcceleratorError)
