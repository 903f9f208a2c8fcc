import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.runtime.engine import StageInput
from models.runtime.transfer import Buffer, HostTransfer, assemble

CPU = torch.device("cpu")
SIDE = 3


def picture(kind: str, seed: int) -> StageInput:
    rng = np.random.default_rng(seed)
    shape = (SIDE, SIDE, 3) if kind.endswith("colour") else (SIDE, SIDE)
    eight_bit = rng.integers(0, 256, shape, dtype=np.uint8)
    return eight_bit if kind.startswith("uint8") else (eight_bit / np.float32(255)).astype(np.float32)


@given(st.lists(st.sampled_from(("uint8 gray", "uint8 colour", "float gray", "float colour")), min_size=1, max_size=6))
@settings(max_examples=60)
def test_any_company_travels_as_the_same_values(kinds: list[str]) -> None:
    batch = [picture(kind, seed) for seed, kind in enumerate(kinds)]
    stacked = assemble(batch, Buffer(CPU))
    assert stacked.dtype == (torch.uint8 if all(kind.startswith("uint8") for kind in kinds) else torch.float32)
    assert stacked.shape[-1] == (3 if any(kind.endswith("colour") for kind in kinds) else 1)
    for sent, image in zip(stacked, batch, strict=True):
        scale = 255 if image.dtype == np.uint8 and stacked.dtype == torch.float32 else 1
        wanted = image if image.ndim == 3 else image[..., None]
        np.testing.assert_array_equal(sent.numpy(), np.broadcast_to(wanted / np.float32(scale), sent.shape))


def test_memory_is_kept_and_grows() -> None:
    buffer = Buffer(CPU)
    small = buffer.view((2, 3), torch.uint8)
    again = buffer.view((1, 5), torch.uint8)
    assert small.data_ptr() == again.data_ptr()
    large = buffer.view((4, 4), torch.float32)
    assert large.shape == (4, 4)
    assert buffer.view((2, 3), torch.uint8).data_ptr() == large.data_ptr()


def test_on_a_cpu_nothing_travels() -> None:
    transfer = HostTransfer()
    one, other = transfer.begin(), transfer.begin()
    first = one.upload([picture("uint8 gray", 0)])
    second = other.upload([picture("uint8 gray", 1)])
    with transfer.computing():
        one.download([first])
        other.download([second])
    assert not torch.equal(one.arrive()[0], other.arrive()[0])
    assert one.arrive()[0].dtype == torch.float32


@pytest.mark.cuda
def test_trips_side_by_side_keep_their_pictures_apart() -> None:
    from models.runtime.transfer import CudaTransfer

    transfer = CudaTransfer(torch.device("cuda:0"))
    batches = [[picture("float gray", seed)] for seed in range(6)]
    trips = []
    with torch.inference_mode():
        for batch in batches:
            trip = transfer.begin()
            sent = trip.upload(batch)
            with transfer.computing():
                trip.download([sent * 2])
            trips.append(trip)
        for batch, trip in zip(batches, trips, strict=True):
            np.testing.assert_array_equal(trip.arrive()[0].numpy()[0, ..., 0], batch[0] * 2)
        assert transfer.begin() is trips[0]
