"""One network on one device: resize, normalise, run."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

import cv2
import numpy as np
import openvino as ov

from models.pixels import Pixels
from models.precision import Precision
from models.runtime import converted
from models.runtime.device import is_cpu, resolve_precision
from models.runtime.engine import Engine, Maps, Pending, StageInput
from models.runtime.errors import ConversionError, DeviceError, NotFiniteError
from models.runtime.openvino import OpenVinoEngine
from models.weights.cards import ModelCard, Role, card_beside

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger("cxr.stage")

Network: TypeAlias = Union["nn.Module", ov.Model]
"""A PyTorch module, or one that was converted for OpenVINO."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Launched:
    """A batch that the device works on."""

    def __init__(self, pending: Pending) -> None:
        self._pending = pending

    def result(self) -> Maps:
        """Waits for the batch; to be called once.

        Raises:
            NotFiniteError: a probability is NaN or infinite.
        """
        maps, labels = self._pending.result()
        # One sum is enough: NaN and infinity carry into it.
        if not np.isfinite(maps.sum()) or not (labels is None or np.isfinite(labels).all()):
            raise NotFiniteError("the network's answer is not finite")
        return maps, labels


class Stage:
    """A segmentation network with the preparation that its pictures need.

    Attributes:
        network: a PyTorch module, in eval mode, or one that was converted.
        input_size: side of the square input, pixels.
        mean, std: of each channel, on the 0..1 scale.
        device: where the network runs: ``cpu`` or ``cuda:N``.
        precision: number format of most of the network's arithmetic; maps are always float32.
        card: describes the weights; None for a network without one.
    """

    def __init__(
        self,
        network: Network,
        input_size: int = 480,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        device: str = "cpu",
        precision: Precision = "float32",
        card: ModelCard | None = None,
    ) -> None:
        """Takes a network; its engine is started on first use.

        Args:
            network: float32 [N, 3, h, w] to a map of probabilities [N, 1, h, w] or [N, h, w], or to (map, label). A
                module is converted when it first runs on a CPU; if it cannot be, it runs in PyTorch, with a warning.
        """
        self.network = network
        self.input_size = input_size
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.device = device
        self.precision = precision
        self.card = card
        self._engine: Engine | None = None
        self._starting = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        role: Role,
        device: str = "cpu",
        precision: Precision | Literal["auto"] = "float32",
        cache: Path | None = None,
    ) -> "Stage":
        """A stage from a published ``weights.pth`` or from ``.safetensors`` with its card.

        On a CPU a network converted earlier (``python -m models.weights convert``, or into ``cache``) is read without
        PyTorch.

        Args:
            precision: for ``auto`` see ``models.runtime.device.resolve_precision``.
            cache: folder for networks that are converted here.

        Raises:
            CheckpointError: the file is not what it should be; the message names it.
            DeviceError: the precision is not available.
        """
        path = Path(path)
        card = card_beside(path, role)
        chosen = resolve_precision(precision, device, role, converted.holding(path, card) if card else ())
        network: Network | None = None
        if card is not None and is_cpu(device):
            network = converted.find(path, card, chosen, cache)
        if card is None or network is None:
            network, card = _from_checkpoint(path, role, chosen)
            if is_cpu(device):
                network = _in_cache(network, card, path, cache)
        card = card.judged_in(chosen)
        return cls(network, card.input_size, card.mean, card.std, device, chosen, card)

    @property
    def streams(self) -> int:
        """How many launches may usefully run at once."""
        return self._started().streams

    def prepare(self, image: Pixels) -> StageInput:
        """One picture at the input size: bicubic on the 0..1 scale without antialiasing, as the published code.

        Args:
            image: uint8 [H, W] or [H, W, 3].
        """
        if image.shape[:2] == (self.input_size, self.input_size):
            return image
        scaled = image.astype(np.float32) / np.float32(255)
        size = (self.input_size, self.input_size)
        return np.asarray(cv2.resize(scaled, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)

    def launch(self, batch: Sequence[StageInput], alone: bool = False) -> Launched:
        """Sends prepared pictures through the network; it may return before the answer is there.

        Args:
            alone: nothing else needs the device, so that one picture may have all of it.
        """
        return Launched(self._started().launch(batch, alone))

    def run(self, batch: Sequence[StageInput]) -> Maps:
        """Runs the network once over prepared pictures and waits."""
        return self.launch(batch, alone=len(batch) == 1).result()

    def predict(self, images: Pixels | Sequence[Pixels]) -> Maps:
        """Prepares and runs: uint8 [N, H, W, 3], or a list of [H, W, 3] or [H, W] of any sizes."""
        return self.run([self.prepare(image) for image in images])

    def warm_up(self, max_batch_size: int) -> int:
        """Does what would slow the first batches down; returns the largest batch worth launching."""
        return self._started().warm_up(max_batch_size)

    def _started(self) -> Engine:
        with self._starting:
            if self._engine is None:
                self._engine = self._new_engine()
            return self._engine

    def _new_engine(self) -> Engine:
        network = self.network
        if self.precision == "int8" and not isinstance(network, ov.Model):
            raise DeviceError("precision 'int8': expected a network that was quantized, found a PyTorch module")
        if is_cpu(self.device):
            if not isinstance(network, ov.Model):
                network = _converted(network, self.input_size)
            if isinstance(network, ov.Model):
                return OpenVinoEngine(network, self.mean, self.std, self.precision)
        if isinstance(network, ov.Model):
            raise DeviceError(f"device {self.device!r}: expected a PyTorch module, found a network converted for a CPU")
        from models.runtime.torch_engine import TorchEngine

        return TorchEngine(network, self.input_size, self.mean, self.std, self.device, self.precision)


def _from_checkpoint(path: Path, role: Role, precision: Precision) -> tuple["nn.Module", ModelCard]:
    """Loads the network in PyTorch."""
    if precision == "int8":
        raise DeviceError(f"precision 'int8': expected weights that were quantized, found none beside {path}")
    try:
        from models.weights.checkpoints import load_checkpoint
    except ImportError as error:
        raise DeviceError(
            f"{path}: expected a converted network beside it (python -m models.weights convert), or PyTorch to convert "
            f"it with (the extra torch), found neither"
        ) from error
    return load_checkpoint(path, role)


def _in_cache(network: "nn.Module", card: ModelCard, path: Path, cache: Path | None) -> Network:
    """The network converted for the CPU engine, from the cache or stored there now."""
    if cache is None:
        return _converted(network, card.input_size)
    # A published file's card is known only now.
    kept = converted.find(path, card, "float32", cache)
    if kept is not None:
        return kept
    made = _converted(network, card.input_size)
    if isinstance(made, ov.Model):
        converted.keep(made, converted.in_cache(cache, card), card)
    return made


def _converted(network: "nn.Module", input_size: int) -> Network:
    """The network converted for the CPU engine; unchanged, with a warning, if it cannot be converted."""
    from models.runtime.conversion import convert

    try:
        return convert(network, input_size)
    except ConversionError as error:
        logger.warning("runs in PyTorch: %s", error)
        return network
