"""A network recorded once, then run as one call, without Python between its layers.

Python's threads share one lock (the GIL). A network called layer by layer gives it back and asks for it again at each
operation, some hundred times a batch; beside host work it waits for it there, and all of its own threads wait with it.
A recorded network asks once. TorchScript is deprecated but the one recorder of torch that needs no compiler where it
runs; what it records is compared, and without it the network runs layer by layer as before.
"""

import warnings

import torch
from torch import Tensor, nn

from models.graphs import Forward
from models.rewriting import answers, answers_alike, example_of


class TraceError(RuntimeError):
    """The network cannot be recorded, or answers otherwise when it is."""


class TracedForward:
    """A ``Forward`` that runs a recorded network; what has not been recorded runs as it is.

    Lone radiographs have a record of their own, since packed convolutions (``models.packing``) ask whether one is.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._lone: torch.jit.ScriptModule | None = None
        self._many: torch.jit.ScriptModule | None = None

    @property
    def recorded(self) -> bool:
        """Whether batches of any size run as one call."""
        return self._lone is not None and self._many is not None

    def record(self, network: nn.Module, input_size: int) -> None:
        """Records the network, which must not change its mind by what a picture shows.

        Args:
            network: what ``forward`` calls, in eval mode, float32, on the CPU; takes [N, 3, input_size, input_size].

        Raises:
            TraceError: nothing is kept.
        """
        one, two, three = (example_of(count, input_size) for count in (1, 2, 3))
        lone, many = _trace(network, one), _trace(network, two)
        # Other pictures than it was recorded with, and another number of them.
        for traced, images in ((lone, one.flip(3)), (many, three)):
            if not _alike(traced, images, answers(network, images)):
                raise TraceError(f"batch size {len(images)}: the recorded network answers otherwise")
        self._lone, self._many = lone, many

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """The answer of the record that fits."""
        traced = self._lone if len(images) == 1 else self._many
        return self._forward(images) if traced is None else answers(traced, images)


def _alike(traced: nn.Module, images: Tensor, expected: tuple[Tensor, ...]) -> bool:
    try:
        return answers_alike(traced, images, expected)
    except RuntimeError:
        # It was recorded for another number of pictures.
        return False


class _Flat(nn.Module):
    """A network without the tree of its parts, which torch would convert one by one: three times as long to record.

    Weights become constants of the record, in the memory that they are in; packed ones can be attributes only.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._parts = (network,)  # not registered
        values = [value for part in network.modules() for value in vars(part).values()]
        for number, packed in enumerate(value for value in values if isinstance(value, torch.ScriptObject)):
            setattr(self, f"packed_{number}", packed)

    def forward(self, images: Tensor) -> object:
        return self._parts[0](images)


def _trace(network: nn.Module, images: Tensor) -> torch.jit.ScriptModule:
    # What is fitted cannot be a constant.
    network.requires_grad_(False)
    with torch.inference_mode(), warnings.catch_warnings():
        # That it is deprecated; and that shapes are asked for, which are always the same here.
        warnings.simplefilter("ignore")
        try:
            traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
                _Flat(network).eval(), images, check_trace=False
            )
        except (RuntimeError, TypeError, ValueError) as error:
            raise TraceError(str(error)) from error
    return traced
