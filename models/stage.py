"""One network on one device: resize, normalise, run."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.checkpoints import ModelCard, load_checkpoint
from models.folding import fold_batch_norms
from models.pixels import Pixels, ProbabilityMap

Role: TypeAlias = Literal["lungs", "disease"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Prepared: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""[h, w] or [h, w, 3] at the input size: uint8 where nothing had to be resized, else float32 in 0..1."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Stage:
    """A segmentation network with what has to be done to a picture before it.

    Attributes:
        network: the module, in eval mode on ``device``.
        input_size: side of the square input, pixels.
        mean, std: of each channel, on the 0..1 scale.
        device: where the network runs.
        precision: number format of the network's arithmetic; maps are float32 always.
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
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self.input_size = input_size
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.precision = precision
        self.card = card
        self._mean = torch.tensor(self.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(self.std, device=self.device).view(1, -1, 1, 1)

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

    def run(self, batch: Sequence[Prepared]) -> tuple[ProbabilityMap, NDArray[np.float32] | None]:
        """Runs the network once over prepared pictures.

        Returns:
            Maps float32 [N, h, w] of probabilities, and labels float32 [N] of the classification head or None.
        """
        with torch.inference_mode(), self._autocast():
            answer = self.network(self._assemble(batch))
        maps, labels = answer if isinstance(answer, tuple) else (answer, None)
        maps = maps.float().reshape(len(batch), *maps.shape[-2:]).cpu().numpy()
        return maps, None if labels is None else labels.float().reshape(len(batch)).cpu().numpy()

    def predict(self, images: Pixels | Sequence[Pixels]) -> tuple[ProbabilityMap, NDArray[np.float32] | None]:
        """Prepares and runs: uint8 [N, H, W, 3], or a list of [H, W, 3] or [H, W] of any sizes.

        Returns:
            As ``run``.
        """
        return self.run([self.prepare(image) for image in images])

    def _assemble(self, batch: Sequence[Prepared]) -> Tensor:
        # Pictures travel to the device as they are: a quarter of the bytes where they are 8-bit.
        tensors = [self._scaled(torch.from_numpy(image).to(self.device)) for image in batch]
        channels = max(len(tensor) for tensor in tensors)
        stacked = torch.stack([tensor.expand(channels, -1, -1) for tensor in tensors])
        normalised = (stacked - self._mean) / self._std
        return normalised.contiguous(memory_format=torch.channels_last)

    def _scaled(self, image: Tensor) -> Tensor:
        """[3, h, w] (or [1, h, w] for gray) float32 in 0..1."""
        chw = image.permute(2, 0, 1) if image.ndim == 3 else image[None]
        return chw.float() / 255 if image.dtype == torch.uint8 else chw

    def _autocast(self) -> "torch.autocast | nullcontext[None]":
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, _DTYPES[self.precision])
