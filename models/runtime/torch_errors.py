"""Turns PyTorch's errors into those that all engines share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from models.runtime.errors import DeviceFailure, OutOfMemoryError

_CUDA_OUT_OF_MEMORY: Final = 2
"""cudaErrorMemoryAllocation."""
# The libraries on top of CUDA have messages of their own: without memory for its work cuDNN finds no engine.
_NO_MEMORY: Final = re.compile(r"STATUS_ALLOC_FAILED|unable to find an engine|CUDA out of memory", re.IGNORECASE)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out, so that a smaller batch might succeed."""
    if isinstance(error, torch.AcceleratorError):
        return getattr(error, "error_code", None) == _CUDA_OUT_OF_MEMORY  # its type does not tell
    return isinstance(error, torch.OutOfMemoryError) or bool(_NO_MEMORY.search(str(error)))


@contextmanager
def own_errors(device: torch.device) -> Iterator[None]:
    """Raises OutOfMemoryError and DeviceFailure in place of what PyTorch raises; other errors stay as they are."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(str(error)) from error
        if isinstance(error, torch.AcceleratorError):
            # The device's context cannot be used again.
            raise DeviceFailure(str(error)) from error
        if device.type == "cuda":
            _probe(device, error)
        raise


def _probe(device: torch.device, error: RuntimeError) -> None:
    """Raises DeviceFailure if the device can compute nothing more: cuDNN and cuBLAS do not say so themselves."""
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        raise DeviceFailure(str(error)) from error
