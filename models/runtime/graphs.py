"""A network captured as CUDA graphs: one launch a batch instead of one a kernel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

Forward: TypeAlias = Callable[[Tensor], tuple[Tensor, ...]]
"""Normalised pictures float32 [N, 3, h, w] to a network's answer."""

_WARM_RUNS = 3
_TOLERANCE = 1e-3


class GraphError(RuntimeError):
    """The network cannot be captured, or answers otherwise when it is."""


def buckets(max_batch_size: int) -> tuple[int, ...]:
    """The batch sizes that are captured: the powers of two, and the largest batch itself."""
    powers = [1 << bits for bits in range(max_batch_size.bit_length())]
    return tuple(sorted({*powers, max_batch_size}))


def bucket_of(count: int, sizes: Sequence[int]) -> int | None:
    """The smallest size that holds ``count``; None where none does."""
    return min((size for size in sizes if size >= count), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    answer: tuple[Tensor, ...]


class GraphedForward:
    """A ``Forward`` that replays captured graphs; batches in between are padded, larger ones run uncaptured.

    Each graph has one place for its input and one for its answer, which the next replay overwrites: calls must not
    cross each other, and the answer must be read on the stream of the call.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._captured: dict[int, _Captured] = {}
        self._pool: _POOL_HANDLE | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that are captured."""
        return tuple(self._captured)

    def capture(self, images: Tensor) -> None:
        """Captures the batch size of ``images`` on the current stream; the largest first: later ones share its memory.

        Raises:
            GraphError: nothing is kept of this size.
            torch.OutOfMemoryError: it does not fit.
        """
        stream = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
                for _ in range(_WARM_RUNS):
                    expected = self._forward(images)
                stream.synchronize()
                with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                    answer = self._forward(images)
            graph.replay()
            stream.synchronize()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise GraphError(f"batch size {len(images)}: {error}") from error
        for one, other in zip(answer, expected, strict=True):
            if not torch.allclose(one.float(), other.float(), rtol=0, atol=_TOLERANCE):
                raise GraphError(f"batch size {len(images)}: the captured network answers otherwise")
        self._captured[len(images)] = _Captured(graph, images, answer)

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Replays the bucket that holds the batch; its first rows are the answer."""
        size = bucket_of(len(images), self.sizes)
        if size is None:
            return self._forward(images)
        captured = self._captured[size]
        captured.images[: len(images)].copy_(images)
        captured.graph.replay()
        return tuple(tensor[: len(images)] for tensor in captured.answer)
