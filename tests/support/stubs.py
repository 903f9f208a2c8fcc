"""Networks that answer by rule, so that the workflow around them can be checked."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.runtime.engine import Engine
from models.runtime.stage import Stage
from models.runtime.torch_engine import TorchEngine
from models.workflow import Workflow


class TorchStage(Stage):
    """Runs in PyTorch on the CPU as well: a stub is made sooner than it is converted.

    As on a GPU pictures are stacked, and two batches may be under way.
    """

    streams = 2

    def warm_up(self, max_batch_size: int) -> int:
        return max_batch_size

    def _new_engine(self) -> Engine:
        assert isinstance(self.network, nn.Module)
        return TorchEngine(self.network, self.input_size, self.mean, self.std, self.device, self.precision)


class FixedMap(nn.Module):
    """Answers one mask as a probability map, whatever it sees."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.map = torch.from_numpy(0.98 * mask.astype(bool) + 0.01).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.map.expand(len(images), 1, *self.map.shape)


class BrightIsDisease(nn.Module):
    """sigmoid(6 x mean of the normalised channels), with a label where one is given."""

    def __init__(self, label: float | None = None) -> None:
        super().__init__()
        self.label = label

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        maps = torch.sigmoid(6 * images.mean(1, keepdim=True))
        return maps if self.label is None else (maps, torch.full((len(images), 1), self.label))


class DarkIsLung(nn.Module):
    """Where the picture is darker than mid-gray: lungs on a bright ground."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(-40 * images.mean(1, keepdim=True))


def stub_workflow(lungs: nn.Module, label: float | None = None, size: int = 384, **arguments: Any) -> Workflow:
    """The workflow around two stub networks, threshold 0.3 unless given."""
    return Workflow(
        TorchStage(lungs, input_size=size),
        TorchStage(BrightIsDisease(label), input_size=480),
        **{"threshold": 0.3, **arguments},
    )
