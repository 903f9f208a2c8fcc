"""Which device and number format the networks run on."""

import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import cast, get_args

from models.precision import FASTEST_FIRST, Precision
from models.runtime import gpus
from models.runtime.errors import DeviceError
from models.runtime.openvino import supported_precisions
from models.weights.cards import Role

logger = logging.getLogger("cxr.device")


def resolve_device(name: str) -> str:
    """Turns ``auto`` (a usable GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N`` into ``cpu`` or ``cuda:N``.

    Raises:
        DeviceError: CUDA was asked for and cannot be used; the message says what was found and what is needed.
    """
    if is_cpu(name):
        return name
    number = int(name.partition(":")[2] or 0)
    fault = gpus.fault(number)
    if fault is None:
        return f"cuda:{number}"
    if name != "auto":
        raise DeviceError(f"device {name!r}: {fault}")
    if gpus.are_there():
        logger.warning("networks run on the CPU beside a GPU: %s", fault)
    return "cpu"


def is_cpu(device: str) -> bool:
    """Whether a device is a CPU."""
    return device == "cpu"


def resolve_precision(name: str, device: str, role: Role, holding: Collection[Precision] = ()) -> Precision:
    """The number format of one stage; any name but ``auto`` stands for itself.

    On a CPU ``auto`` is the fastest format of ``holding`` that the processor supports, else float32. On a GPU it is
    float16 for stage II; stage I stays in float32 there, because one pixel more or less in its mask moves the crop
    that stage II sees.

    Args:
        holding: number formats that ``auto`` may choose for the weights.

    Raises:
        DeviceError: no such format, or the device does not support it.
    """
    if name == "auto" and not is_cpu(device):
        return "float16" if role == "disease" else "float32"
    available = supported_precisions() if is_cpu(device) else gpus.precisions(device)
    if name == "auto":
        return next((one for one in FASTEST_FIRST if one in available and one in holding), "float32")
    if name not in get_args(Precision):
        raise DeviceError(f"precision {name!r}: expected auto, {', '.join(get_args(Precision))}")
    if name not in available:
        whose = "this processor's" if is_cpu(device) else f"those of {gpus.name(device)}"
        raise DeviceError(f"precision {name!r}: expected one of {whose}, {', '.join(sorted(available))}")
    return cast("Precision", name)


def default_batch_size(device: str) -> int:
    """The largest useful batch: larger ones gain no speed and make radiographs wait longer for each other."""
    return 1 if is_cpu(device) else 16


def memory_readers(device: str) -> dict[str, Callable[[], int]]:
    """Functions that read a GPU's memory in bytes: ``allocated`` by tensors, ``reserved`` by this process."""
    if is_cpu(device):
        return {}
    import torch

    return {
        "allocated": partial(torch.cuda.memory_allocated, device),
        "reserved": partial(torch.cuda.memory_reserved, device),
    }
