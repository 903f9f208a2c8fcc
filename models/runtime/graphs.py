"""A network captured as CUDA graphs: one launch per batch instead of one per kernel."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch
from torch import Tensor

from models.runtime.torch_errors import is_out_of_memory

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

logger = logging.getLogger("cxr.stage")

Forward: TypeAlias = Callable[[Tensor], tuple[Tensor, ...]]
"""Normalised pictures float32 [N, 3, h, w] to a network's answer."""

_WARM_RUNS = 3
_TOLERANCE = 1e-3


class GraphError(RuntimeError):
    """The network cannot be captured, or gives other answers when captured."""


def buckets(max_batch_size: int) -> tuple[int, ...]:
    """The batch sizes that are captured: the powers of two, and the largest batch itself."""
    powers = [1 << bits for bits in range(max_batch_size.bit_length())]
    return tuple(sorted({*powers, max_batch_size}))


def bucket_of(count: int, sizes: Sequence[int]) -> int | None:
    """The smallest size that holds ``count``; None where none does."""
    return min((size for size in sizes if size >= count), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A ``Forward`` of one batch size.

    Attributes:
        replay: computes ``answer`` again from what ``images`` holds.
    """

    replay: Callable[[], None]
    images: Tensor
    answer: tuple[Tensor, ...]


class Recorder(Protocol):
    """Captures networks on one device."""

    def record(self, forward: Forward, images: Tensor) -> Captured:
        """Captures the forward at that batch size; raises RuntimeError, of whatever kind the device has."""

    def wait(self) -> None:
        """Waits until replays are done."""

    def release(self) -> None:
        """Frees the memory of everything captured; none of it may be in use."""


class CudaRecorder:
    """Captures CUDA graphs on the current stream; they share memory, so the largest must come first."""

    def __init__(self) -> None:
        self._pool: _POOL_HANDLE | None = None

    def record(self, forward: Forward, images: Tensor) -> Captured:
        stream = torch.cuda.current_stream()
        for _ in range(_WARM_RUNS):
            forward(images)
        stream.synchronize()
        # A graph has memory of its own and does not use what the runs before it left.
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            answer = forward(images)
        return Captured(graph.replay, images, answer)

    def wait(self) -> None:
        torch.cuda.current_stream().synchronize()

    def release(self) -> None:
        self._pool = None
        torch.cuda.empty_cache()


class GraphedForward:
    """A ``Forward`` that replays captured graphs; batches in between are padded, larger ones run uncaptured.

    Each graph has one place for its input and one for its answer, which the next replay overwrites: calls must not
    overlap, and the answer must be read on the stream of the call.
    """

    def __init__(self, forward: Forward, recorder: Recorder) -> None:
        self._forward, self._recorder = forward, recorder
        self._captured: dict[int, Captured] = {}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that are captured."""
        return tuple(self._captured)

    def capture(self, new_pictures: Callable[[int], Tensor], sizes: Sequence[int]) -> int:
        """Captures the largest of ``sizes`` that fits and all below it, or none of them.

        With small sizes missing, a lone radiograph would be padded to the smallest size captured.

        Args:
            new_pictures: noise [N, 3, h, w] for a batch size, new at each call.
            sizes: ascending.

        Returns:
            The largest batch that the device's memory holds.

        Raises:
            torch.OutOfMemoryError: not even the smallest fits.
        """
        for count in range(len(sizes), 0, -1):
            fitting = sizes[:count]
            try:
                self._captured = {size: self._checked(new_pictures(size), new_pictures) for size in reversed(fitting)}
            except GraphError as error:
                logger.warning("not captured: %s", error)
                fits = True
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                fits = False
            else:
                return fitting[-1]
            # Not inside the except blocks: the traceback holds what is to be released.
            self._recorder.release()
            if fits:
                return fitting[-1]
        raise torch.OutOfMemoryError(f"a batch of {sizes[0]} does not fit")

    def _checked(self, images: Tensor, new_pictures: Callable[[int], Tensor]) -> Captured:
        """Captures one batch size and checks on two other batches that it answers as the network does."""
        try:
            captured = self._recorder.record(self._forward, images)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise GraphError(f"batch size {len(images)}: {error}") from error
        for _ in range(2):
            captured.images.copy_(new_pictures(len(images)))
            captured.replay()
            self._recorder.wait()
            expected = self._forward(captured.images)
            for one, other in zip(captured.answer, expected, strict=True):
                if not torch.allclose(one.float(), other.float(), rtol=0, atol=_TOLERANCE):
                    raise GraphError(f"batch size {len(images)}: the captured network answers otherwise")
        return captured

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Replays the bucket that holds the batch; its first rows are the answer."""
        size = bucket_of(len(images), self.sizes)
        if size is None:
            return self._forward(images)
        captured = self._captured[size]
        captured.images[: len(images)].copy_(images)
        captured.replay()
        return tuple(tensor[: len(images)] for tensor in captured.answer)
