"""What the engine does for a GPU when it is made; the GPU is a fake, as are the tensors on it."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from models.runtime import torch_engine
from models.runtime.errors import DeviceError
from models.runtime.torch_engine import TorchEngine
from models.runtime.transfer import HostTransfer


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that were waited for."""
    found: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: found.append(str(device)))
    monkeypatch.setattr(torch_engine, "CudaTransfer", lambda device: HostTransfer())
    return found


def engine() -> TorchEngine:
    return TorchEngine(nn.Identity(), 32, (0.5,) * 3, (0.5,) * 3, "cuda:0", "float32")


def test_float32_is_no_tf32_and_weights_are_there_before_they_are_read(waited: list[str]) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    with FakeTensorMode():
        engine()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cudnn.benchmark
    assert waited == ["cuda:0"]


@pytest.mark.usefixtures("waited")
def test_a_gpu_without_memory_for_one_radiograph_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with FakeTensorMode():
        made = engine()
        monkeypatch.setattr(torch, "randn", no_memory)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        with pytest.raises(DeviceError, match="device 'cuda:0': expected memory for one radiograph, found too little"):
            made.warm_up(16)
