"""PyTorch, which runs networks on a GPU, and on a CPU those that cannot be converted."""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.runtime.engine import Maps, StageInput
from models.runtime.errors import DeviceFailure, OutOfMemoryError
from models.runtime.graphs import GraphedForward, GraphError, buckets
from models.runtime.lowering import DTYPES, lower_precision
from models.runtime.precision import Precision
from models.runtime.processors import available_cpus
from models.runtime.transfer import CudaTransfer, HostTransfer, Transfer, Trip

logger = logging.getLogger("cxr.stage")

_GPU_LAUNCHES = 2
"""While one batch computes, the next one's pictures are copied, so that the device never idles."""


class TorchEngine:
    """A ``torch.nn.Module`` on a device, captured as CUDA graphs where that is a GPU."""

    def __init__(
        self,
        network: nn.Module,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        device: str,
        precision: Precision,
    ) -> None:
        """Args:
        network: moved to the device, and below float32 its parts are replaced in place.
        """
        self._device, self._precision, self._input_size = torch.device(device), precision, input_size
        if self._device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(available_cpus())
        network = network.eval()
        lower_precision(network, precision, input_size)
        self._network = network.to(device).to(memory_format=torch.channels_last)
        self.streams = _GPU_LAUNCHES if self._device.type == "cuda" else 1
        # (x - mean) / std as x * scale + shift: one pass over memory.
        means, deviations = (torch.tensor(values, dtype=torch.float64) for values in (mean, std))
        self._scale = (1 / deviations).float().to(device)
        self._shift = (-means / deviations).float().to(device)
        self._transfer: Transfer = CudaTransfer(self._device) if self._device.type == "cuda" else HostTransfer()
        self._graphed = GraphedForward(self._forward)
        self._launching = threading.Lock()

    def warm_up(self, max_batch_size: int) -> int:
        """On a GPU captures the network at each bucket; one that cannot be captured runs uncaptured.

        Returns:
            The largest batch that the device's memory holds; 1 on a CPU.
        """
        return self._capture(max_batch_size) if self._device.type == "cuda" else 1

    def launch(self, batch: Sequence[StageInput], alone: bool) -> "_Launched":
        """On a GPU it returns before the answer is there."""
        with _own_errors():
            trip = self._transfer.begin()
            with self._launching, torch.inference_mode():
                pictures = trip.upload(batch)
                with self._transfer.computing():
                    trip.download(self._graphed(self._normalised(pictures)))
        return _Launched(trip, len(batch))

    def _capture(self, max_batch_size: int) -> int:
        largest, sizes = max_batch_size, buckets(max_batch_size)
        with torch.inference_mode(), self._transfer.computing():
            for place in reversed(range(len(sizes))):
                shape = (sizes[place], self._input_size, self._input_size, 3)
                images = torch.zeros(shape, device=self._device).permute(0, 3, 1, 2)
                try:
                    self._graphed.capture(images)
                except torch.OutOfMemoryError:
                    largest = sizes[max(place - 1, 0)]
                except GraphError as error:
                    logger.warning("not captured: %s", error)
                    break
        return largest

    def _normalised(self, pictures: Tensor) -> Tensor:
        """[N, h, w, c] as uint8 or 0..1 to [N, 3, h, w], channels last."""
        scaled = pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
        return torch.addcmul(self._shift, scaled, self._scale).permute(0, 3, 1, 2)

    def _forward(self, images: Tensor) -> tuple[Tensor, ...]:
        lowered = self._precision != "float32"
        with torch.autocast(self._device.type, DTYPES[self._precision], enabled=lowered, cache_enabled=False):
            answer = self._network(images)
        return answer if isinstance(answer, tuple) else (answer,)


class _Launched:
    """A ``Pending`` that travels."""

    def __init__(self, trip: Trip, count: int) -> None:
        self._trip, self._count = trip, count

    def result(self) -> Maps:
        with _own_errors():
            maps, *labels = (tensor.numpy() for tensor in self._trip.arrive())
        return maps.reshape(self._count, *maps.shape[-2:]), labels[0].reshape(self._count) if labels else None


@contextmanager
def _own_errors() -> Iterator[None]:
    """Torch's errors as those of every engine."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(str(error)) from error
    except torch.AcceleratorError as error:
        # The device's context is poisoned.
        raise DeviceFailure(str(error)) from error
