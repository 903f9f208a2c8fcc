"""The interface of what runs a stage's network; each kind of device has its own engine."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.pixels import ProbabilityMap

StageInput: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""[h, w] or [h, w, 3] at the input size: uint8 where nothing had to be resized, else float32 in 0..1."""
Maps: TypeAlias = tuple[ProbabilityMap, NDArray[np.float32] | None]
"""Maps float32 [N, h, w] of probabilities, and labels float32 [N] of the classification head or None."""


class Pending(Protocol):
    """A batch that an engine works on."""

    def result(self) -> Maps:
        """Waits for the answer; to be called once."""


class Engine(Protocol):
    """One network on one device.

    Attributes:
        streams: how many launches may usefully run at once.
    """

    streams: int

    def warm_up(self, max_batch_size: int) -> int:
        """Does what would slow the first batches down; returns the largest batch worth launching."""

    def launch(self, batch: Sequence[StageInput], alone: bool) -> Pending:
        """Sends prepared pictures through the network.

        Args:
            alone: nothing else needs the processors, so that one picture may have all of them.

        Raises:
            OutOfMemoryError: a smaller batch might fit.
            DeviceFailure: nothing more can be computed.
        """
