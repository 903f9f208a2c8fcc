"""Captured batch sizes: which are kept when memory or the network itself stands in the way."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.runtime.graphs import Captured, CudaRecorder, Forward, GraphedForward, bucket_of, buckets

SIZES = (1, 2, 4, 8)


def noise(count: int, device: str = "cpu") -> Tensor:
    return torch.randn(count, 3, 8, 8, device=device)


def brightness(images: Tensor) -> tuple[Tensor, ...]:
    return (images.sum(dim=1, keepdim=True),)


class FakeRecorder:
    """Records on the CPU; what it has recorded keeps its memory until it is released.

    Attributes:
        recorded: sizes, in order.
        fail: called with a size before it is recorded.
        stale: whether a replay leaves the first answer.
    """

    def __init__(self, fail: Callable[[int], None] = lambda size: None, stale: bool = False) -> None:
        self.recorded: list[int] = []
        self.releases = 0
        self.fail, self.stale = fail, stale

    def record(self, forward: Forward, images: Tensor) -> Captured:
        self.fail(len(images))
        self.recorded.append(len(images))
        answer = forward(images)

        def replay() -> None:
            if not self.stale:
                for kept, new in zip(answer, forward(images), strict=True):
                    kept.copy_(new)

        return Captured(replay, images, answer)

    def wait(self) -> None:
        pass

    def release(self) -> None:
        self.releases += 1


def no_memory_over(largest: int, error: RuntimeError) -> Callable[[int], None]:
    def fail(size: int) -> None:
        if size > largest:
            raise error

    return fail


@given(st.integers(1, 200))
def test_every_batch_has_a_bucket_at_most_twice_its_size(largest: int) -> None:
    sizes = buckets(largest)
    assert sizes[-1] == largest
    for count in range(1, largest + 1):
        size = bucket_of(count, sizes)
        assert size is not None
        assert count <= size < 2 * count + 1


def test_a_batch_over_the_largest_bucket_has_none() -> None:
    assert bucket_of(17, buckets(16)) is None


def test_what_is_not_captured_runs_as_it_is() -> None:
    graphed = GraphedForward(lambda images: (images * 2,), FakeRecorder())
    assert torch.equal(graphed(torch.ones(3, 3, 4, 4))[0], torch.full((3, 3, 4, 4), 2.0))


def test_batches_in_between_are_padded_and_get_their_own_answer() -> None:
    graphed = GraphedForward(brightness, recorder := FakeRecorder())
    assert graphed.capture(noise, SIZES) == 8
    assert recorder.recorded == [8, 4, 2, 1]
    for count in (1, 3, 8, 9):
        images = noise(count)
        torch.testing.assert_close(graphed(images)[0], brightness(images)[0])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
@pytest.mark.parametrize("largest", [1, 2, 4])
def test_without_memory_for_the_largest_the_next_and_all_below_are_captured(error: RuntimeError, largest: int) -> None:
    graphed = GraphedForward(brightness, recorder := FakeRecorder(no_memory_over(largest, error)))
    assert graphed.capture(noise, SIZES) == largest
    assert sorted(graphed.sizes) == [size for size in SIZES if size <= largest]
    assert recorder.releases == sum(size > largest for size in SIZES)


def test_without_memory_at_a_middle_size_all_begins_anew_below_the_largest() -> None:
    # With the largest in memory the middle one does not fit beside it.
    def fail(size: int) -> None:
        if size == 2 and 8 in recorder.recorded and not recorder.releases:
            raise torch.OutOfMemoryError

    graphed = GraphedForward(brightness, recorder := FakeRecorder())
    recorder.fail = fail
    assert graphed.capture(noise, SIZES) == 4
    assert graphed.sizes == (4, 2, 1)
    assert recorder.recorded == [8, 4, 4, 2, 1]


def test_without_memory_for_its_pictures_a_size_is_left_out() -> None:
    def pictures(count: int) -> Tensor:
        if count == 8:
            raise torch.OutOfMemoryError
        return noise(count)

    graphed = GraphedForward(brightness, FakeRecorder())
    assert graphed.capture(pictures, SIZES) == 4


def test_memory_for_none_is_an_error() -> None:
    graphed = GraphedForward(brightness, FakeRecorder(no_memory_over(0, torch.OutOfMemoryError())))
    with pytest.raises(torch.OutOfMemoryError, match="a batch of 1 does not fit"):
        graphed.capture(noise, SIZES)


@pytest.mark.parametrize("broken", [1, 4, 8])
def test_one_size_that_cannot_be_captured_leaves_none(broken: int, caplog: pytest.LogCaptureFixture) -> None:
    def fail(size: int) -> None:
        if size == broken:
            raise RuntimeError("operation not permitted when stream is capturing")

    graphed = GraphedForward(brightness, recorder := FakeRecorder(fail))
    assert graphed.capture(noise, SIZES) == 8
    assert graphed.sizes == ()
    assert recorder.releases == 1
    assert f"not captured: batch size {broken}" in caplog.text


def test_a_replay_that_leaves_the_first_answer_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    graphed = GraphedForward(brightness, FakeRecorder(stale=True))
    assert graphed.capture(noise, SIZES) == 8
    assert graphed.sizes == ()
    assert "the captured network answers otherwise" in caplog.text


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_captured_network_answers_the_same(count: int) -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 5, 3, padding=1).cuda().eval()
    graphed = GraphedForward(lambda images: (network(images),), CudaRecorder())
    images = noise(count, "cuda")
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
        assert graphed.capture(lambda size: noise(size, "cuda"), (1, 2, 4)) == 4
        for _ in range(2):
            torch.testing.assert_close(graphed(images)[0], network(images))
    assert graphed.sizes == (4, 2, 1)


@pytest.mark.cuda
def test_a_network_that_asks_the_host_is_not_captured() -> None:
    def forward(images: Tensor) -> tuple[Tensor, ...]:
        return (images * float(images.sum().item()),)

    graphed = GraphedForward(forward, CudaRecorder())
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
        assert graphed.capture(lambda size: noise(size, "cuda"), (1, 2)) == 2
    assert graphed.sizes == ()
