"""PyTorch, which runs networks on a GPU, and on a CPU those that cannot be converted."""

import os
import threading
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.precision import Precision
from models.runtime.engine import Maps, StageInput
from models.runtime.errors import DeviceError
from models.runtime.graphs import CudaRecorder, GraphedForward, buckets
from models.runtime.lowering import DTYPES, lower_precision
from models.runtime.processors import available_cpus
from models.runtime.torch_errors import own_errors
from models.runtime.transfer import CudaTransfer, HostTransfer, Transfer, Trip

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
        """Prepares the network for the device.

        Args:
            network: moved to the device; below float32 its parts are replaced in place.
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
        self._transfer: Transfer = HostTransfer()
        if self._device.type == "cuda":
            _keep_float32()
            # Weights were copied on the default stream, and are read on others.
            torch.cuda.synchronize(self._device)
            self._transfer = CudaTransfer(self._device)
        self._graphed = GraphedForward(self._forward, CudaRecorder())
        self._launching = threading.Lock()

    def warm_up(self, max_batch_size: int) -> int:
        """On a GPU captures the network at each bucket; one that cannot be captured runs uncaptured.

        Returns:
            The largest batch that the device's memory holds; 1 on a CPU.
        """
        return self._capture(max_batch_size) if self._device.type == "cuda" else 1

    def launch(self, batch: Sequence[StageInput], alone: bool) -> "_Launched":
        """Starts a batch; on a GPU it returns before the answer is there."""
        with own_errors(self._device):
            trip = self._transfer.begin()
            with self._launching, torch.inference_mode():
                pictures = trip.upload(batch)
                with self._transfer.computing():
                    trip.download(self._graphed(self._normalised(pictures)))
        return _Launched(trip, len(batch), self._device)

    def _capture(self, max_batch_size: int) -> int:
        try:
            with torch.inference_mode(), self._transfer.computing():
                return self._graphed.capture(self._noise, buckets(max_batch_size))
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"device '{self._device}': expected memory for one radiograph, found too little"
            ) from error

    def _noise(self, count: int) -> Tensor:
        """Normalised pictures [N, 3, h, w], channels last."""
        return torch.randn((count, self._input_size, self._input_size, 3), device=self._device).permute(0, 3, 1, 2)

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
    """A ``Pending`` for a batch on its ``Trip``."""

    def __init__(self, trip: Trip, count: int, device: torch.device) -> None:
        self._trip, self._count, self._device = trip, count, device

    def result(self) -> Maps:
        with own_errors(self._device):
            maps, *labels = (tensor.numpy() for tensor in self._trip.arrive())
        return maps.reshape(self._count, *maps.shape[-2:]), labels[0].reshape(self._count) if labels else None


def _keep_float32() -> None:
    """Turns TF32 off in the whole process: Ampere and later use it for float32, moving shares by 0.006 to 0.016."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
