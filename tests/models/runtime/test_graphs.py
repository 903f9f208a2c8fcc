import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.runtime.graphs import GraphedForward, GraphError, bucket_of, buckets


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
    assert torch.equal(
        GraphedForward(lambda images: (images * 2,))(torch.ones(3, 3, 4, 4))[0], torch.full((3, 3, 4, 4), 2.0)
    )


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_captured_network_answers_the_same(count: int) -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 5, 3, padding=1).cuda().eval()
    graphed = GraphedForward(lambda images: (network(images),))
    images = torch.rand(count, 3, 32, 32, device="cuda")
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
        for size in (4, 2, 1):
            graphed.capture(torch.zeros(size, 3, 32, 32, device="cuda"))
        for _ in range(2):
            torch.testing.assert_close(graphed(images)[0], network(images))
    assert graphed.sizes == (4, 2, 1)


@pytest.mark.cuda
def test_a_network_that_asks_the_host_is_not_captured() -> None:
    def forward(images: Tensor) -> tuple[Tensor, ...]:
        return (images * float(images.sum().item()),)

    graphed = GraphedForward(forward)
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()), pytest.raises(GraphError):
        graphed.capture(torch.ones(2, 3, 8, 8, device="cuda"))
    assert graphed.sizes == ()
