"""Moves batches to the device and back: memory is reused, and copies run beside the arithmetic."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.runtime.engine import StageInput


class Buffer:
    """Memory for one tensor after another; grows when one does not fit."""

    def __init__(self, device: torch.device, pinned: bool = False) -> None:
        self._device, self._pinned = device, pinned
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def view(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor on this memory; what lay there before is lost."""
        size = prod(shape) * dtype.itemsize
        if size > len(self._bytes):
            self._bytes = torch.empty(size, dtype=torch.uint8, device=self._device, pin_memory=self._pinned)
        return self._bytes[:size].view(dtype).view(*shape)


def assemble(batch: Sequence[StageInput], buffer: Buffer) -> Tensor:
    """Stacks the pictures to [N, h, w, c]: uint8 if all are, else float32 in 0..1; gray has one channel.

    This is what is copied to the device: 8-bit pictures take a quarter of the bytes, gray ones a third.
    """
    height, width = batch[0].shape[:2]
    channels = 3 if any(image.ndim == 3 for image in batch) else 1
    dtype = torch.uint8 if all(image.dtype == np.uint8 for image in batch) else torch.float32
    stacked = buffer.view((len(batch), height, width, channels), dtype)
    target = stacked.numpy()
    for place, image in zip(target, batch, strict=True):
        values = image if image.ndim == 3 else image[..., None]
        if dtype == torch.float32 and image.dtype == np.uint8:
            np.divide(values, np.float32(255), out=place)
        else:
            np.copyto(place, values)
    return stacked


class Trip(Protocol):
    """One batch on its way to the device and back."""

    def upload(self, batch: Sequence[StageInput]) -> Tensor:
        """Copies the pictures to the device, [N, h, w, c], for arithmetic inside ``computing``."""

    def download(self, answer: Sequence[Tensor]) -> None:
        """Sends the tensors back; call inside ``computing``."""

    def arrive(self) -> list[Tensor]:
        """Waits for what was sent back: float32 on the CPU, owned by the caller. Ends the trip."""


class Transfer(Protocol):
    """Makes trips to one device."""

    def begin(self) -> Trip:
        """A new trip; several may be under way."""

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Keeps the arithmetic inside it in order with uploads and downloads."""
        yield


class HostTransfer:
    """For networks on the CPU: nothing is transferred, and arithmetic is done when its call returns."""

    def begin(self) -> "HostTrip":
        return HostTrip()

    @contextmanager
    def computing(self) -> Iterator[None]:
        yield


class HostTrip:
    """A ``Trip`` that stays on the CPU."""

    def __init__(self) -> None:
        self._answer: list[Tensor] = []

    def upload(self, batch: Sequence[StageInput]) -> Tensor:
        return assemble(batch, Buffer(torch.device("cpu")))

    def download(self, answer: Sequence[Tensor]) -> None:
        self._answer = [tensor.float() for tensor in answer]

    def arrive(self) -> list[Tensor]:
        return self._answer


class CudaTransfer:
    """Three streams: pictures up, arithmetic, answers down, so that the copies of one batch run beside another's
    arithmetic. Host memory is pinned, because only that can be copied without the processor's help.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.up, self.compute, self.down = (torch.cuda.Stream(device) for _ in range(3))  # type: ignore[no-untyped-call]
        self.idle: deque[CudaTrip] = deque()

    def begin(self) -> "CudaTrip":
        # Popping is atomic: trips begin in one thread and end in another.
        try:
            return self.idle.popleft()
        except IndexError:
            return CudaTrip(self)

    @contextmanager
    def computing(self) -> Iterator[None]:
        with torch.cuda.device(self.device), torch.cuda.stream(self.compute):
            yield


class CudaTrip:
    """A ``Trip`` with memory of its own, used again once it has ended, unless it failed."""

    def __init__(self, transfer: CudaTransfer) -> None:
        self._transfer = transfer
        self._sent = Buffer(torch.device("cpu"), pinned=True)
        self._received = Buffer(transfer.device)
        self._back: list[tuple[Buffer, Buffer]] = []
        self._answer: list[Tensor] = []
        # Blocking: the waiting thread sleeps, and its core is free for the host work of others.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    def upload(self, batch: Sequence[StageInput]) -> Tensor:
        streams = self._transfer
        pictures = assemble(batch, self._sent)
        with torch.cuda.device(streams.device), torch.cuda.stream(streams.up):
            arrived = self._received.view(pictures.shape, pictures.dtype)
            arrived.copy_(pictures, non_blocking=True)
        streams.compute.wait_stream(streams.up)
        return arrived

    def download(self, answer: Sequence[Tensor]) -> None:
        streams = self._transfer
        while len(self._back) < len(answer):
            self._back.append((Buffer(streams.device), Buffer(torch.device("cpu"), pinned=True)))
        leaving = []
        for tensor, (here, _) in zip(answer, self._back, strict=False):
            # A captured network writes every answer to the same place: the next one must not overtake the copy.
            leaving.append(here.view(tensor.shape, tensor.dtype).copy_(tensor))
        streams.down.wait_stream(streams.compute)
        self._answer = []
        with torch.cuda.stream(streams.down):
            for tensor, (_, there) in zip(leaving, self._back, strict=False):
                home = there.view(tensor.shape, tensor.dtype)
                self._answer.append(home.copy_(tensor, non_blocking=True))
            self._done.record()

    def arrive(self) -> list[Tensor]:
        self._done.synchronize()
        answer = [tensor.to(torch.float32, copy=True) for tensor in self._answer]
        self._transfer.idle.append(self)
        return answer
