"""One network on one device: resize, normalise, run."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.checkpoints import ModelCard, Role, load_checkpoint
from models.folding import fold_batch_norms
from models.graphs import GraphedForward, GraphError, buckets
from models.packing import pack_convolutions
from models.pixels import Pixels, ProbabilityMap
from models.precision import DTYPES, Precision, lower_precision
from models.savings import spare_arithmetic
from models.tracing import TracedForward, TraceError
from models.transfer import CudaTransfer, HostTransfer, Prepared, Transfer, Trip

logger = logging.getLogger("cxr.stage")

Maps: TypeAlias = tuple[ProbabilityMap, NDArray[np.float32] | None]
"""Maps float32 [N, h, w] of probabilities, and labels float32 [N] of the classification head or None."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class NotFiniteError(ArithmeticError):
    """A network answered with something that is not a number: nothing may be concluded from it."""


class Launched:
    """A batch that the device works on."""

    def __init__(self, trip: Trip, count: int) -> None:
        self._trip, self._count = trip, count

    def result(self) -> Maps:
        """Waits for the batch; to be called once.

        Raises:
            NotFiniteError: a probability is NaN or infinite.
        """
        maps, *labels = (tensor.numpy() for tensor in self._trip.arrive())
        maps = maps.reshape(self._count, *maps.shape[-2:])
        # One sum is enough: what is not finite stays so in it.
        if not np.isfinite(maps.sum()) or not all(np.isfinite(label).all() for label in labels):
            raise NotFiniteError("the network's answer is not finite")
        return maps, labels[0].reshape(self._count) if labels else None


class Stage:
    """A segmentation network with what has to be done to a picture before it.

    Attributes:
        network: the module, in eval mode on ``device``; below float32 its parts are replaced as
            ``models.precision`` says.
        input_size: side of the square input, pixels.
        mean, std: of each channel, on the 0..1 scale.
        device: where the network runs.
        precision: number format of most of the network's arithmetic; maps are float32 always.
        card: what is known of the weights; None for a network that came without.
    """

    def __init__(
        self,
        network: nn.Module,
        input_size: int = 480,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        device: str | torch.device = "cpu",
        precision: Precision = "float32",
        card: ModelCard | None = None,
    ) -> None:
        """Args:
        network: float32 [N, 3, h, w] to a map of probabilities [N, 1, h, w] or [N, h, w], or to (map, label).
        """
        self.device = torch.device(device)
        network = network.eval()
        lower_precision(network, precision, input_size)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.input_size = input_size
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.precision = precision
        self.card = card
        # (x - mean) / std as x * scale + shift: one pass over memory.
        means, deviations = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.std))
        self._scale = (1 / deviations).float().to(self.device)
        self._shift = (-means / deviations).float().to(self.device)
        self._transfer: Transfer = CudaTransfer(self.device) if self.device.type == "cuda" else HostTransfer()
        # Layer by layer, unless it is recorded (on a CPU) or captured (on a GPU).
        self._traced = TracedForward(self._forward)
        self._graphed = GraphedForward(self._traced)
        self._launching = threading.Lock()

    @classmethod
    def load(
        cls, path: str | Path, *, role: Role, device: str | torch.device = "cpu", precision: Precision = "float32"
    ) -> "Stage":
        """A stage from a published ``weights.pth`` or from ``.safetensors`` with its card.

        Raises:
            CheckpointError: the file is not what it should be; the message names it.
        """
        network, card = load_checkpoint(path, role)
        if not fold_batch_norms(network, card.input_size):
            network, card = load_checkpoint(path, role)
        return cls(network, card.input_size, card.mean, card.std, device, precision, card)

    def prepare(self, image: Pixels) -> Prepared:
        """One picture at the input size: bicubic on the 0..1 scale without antialiasing, as the published code.

        Args:
            image: uint8 [H, W] or [H, W, 3].
        """
        if image.shape[:2] == (self.input_size, self.input_size):
            return image
        scaled = image.astype(np.float32) / np.float32(255)
        size = (self.input_size, self.input_size)
        return np.asarray(cv2.resize(scaled, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)

    def launch(self, batch: Sequence[Prepared]) -> Launched:
        """Sends prepared pictures through the network; on a GPU it returns before the answer is there."""
        trip = self._transfer.begin()
        with self._launching, torch.inference_mode():
            pictures = trip.upload(batch)
            with self._transfer.computing():
                trip.download(self._graphed(self._normalised(pictures)))
        return Launched(trip, len(batch))

    def run(self, batch: Sequence[Prepared]) -> Maps:
        """Runs the network once over prepared pictures and waits."""
        return self.launch(batch).result()

    def predict(self, images: Pixels | Sequence[Pixels]) -> Maps:
        """Prepares and runs: uint8 [N, H, W, 3], or a list of [H, W, 3] or [H, W] of any sizes."""
        return self.run([self.prepare(image) for image in images])

    def warm_up(self, max_batch_size: int) -> int:
        """Makes every later batch as fast as the next: on a GPU captures the network at each bucket.

        A network that cannot be captured runs uncaptured. On a CPU arithmetic is spared and weights are packed for lone
        radiographs, in place: the network can be neither copied nor fitted afterwards; and one with a card is recorded.

        Returns:
            The largest batch that the device's memory holds.
        """
        if self.device.type == "cuda":
            return self._capture(max_batch_size)
        if self.precision == "float32":
            spare_arithmetic(self.network, self.input_size)
            pack_convolutions(self.network, self.input_size)
            self._record()
        return max_batch_size

    def _record(self) -> None:
        # Without a card it is somebody's own module, which may do more than arithmetic.
        if self.card is None:
            return
        try:
            self._traced.record(self.network, self.input_size)
        except TraceError as error:
            logger.warning("not recorded: %s", error)

    def _capture(self, max_batch_size: int) -> int:
        """The largest batch that the device's memory holds."""
        largest, sizes = max_batch_size, buckets(max_batch_size)
        with torch.inference_mode(), self._transfer.computing():
            for place in reversed(range(len(sizes))):
                shape = (sizes[place], self.input_size, self.input_size, 3)
                images = torch.zeros(shape, device=self.device).permute(0, 3, 1, 2)
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
        lowered = self.precision != "float32"
        with torch.autocast(self.device.type, DTYPES[self.precision], enabled=lowered, cache_enabled=False):
            answer = self.network(images)
        return answer if isinstance(answer, tuple) else (answer,)
