"""PyTorch's errors, told apart without a GPU: a smaller batch may help, the process ends, or one request fails."""

import pytest
import torch

from models.runtime.errors import DeviceFailure, OutOfMemoryError
from models.runtime.torch_errors import own_errors

GPU = torch.device("cuda:0")


def accelerator_error(code: int) -> RuntimeError:
    error = torch.AcceleratorError(f"CUDA error {code}")
    error.error_code = code
    return error


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that fails whatever it is asked."""

    def synchronize(device: torch.device) -> None:
        raise accelerator_error(700)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        accelerator_error(2),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
)
@pytest.mark.usefixtures("sound")
def test_a_smaller_batch_may_help(error: RuntimeError) -> None:
    with pytest.raises(OutOfMemoryError), own_errors(GPU):
        raise error


@pytest.mark.usefixtures("sound")
def test_an_error_of_the_context_loses_the_device() -> None:
    with pytest.raises(DeviceFailure, match="CUDA error 700"), own_errors(GPU):
        raise accelerator_error(700)


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize("text", ["cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "CUBLAS_STATUS_INTERNAL_ERROR"])
def test_a_library_that_fails_on_a_lost_device_loses_it(text: str) -> None:
    with pytest.raises(DeviceFailure, match=text), own_errors(GPU):
        raise RuntimeError(text)


@pytest.mark.usefixtures("sound")
def test_a_library_that_fails_on_a_sound_device_fails_one_request() -> None:
    with pytest.raises(RuntimeError, match="CUDNN_STATUS_NOT_SUPPORTED") as caught, own_errors(GPU):
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED")
    assert type(caught.value) is RuntimeError


@pytest.mark.usefixtures("lost")
def test_on_a_cpu_nothing_is_probed() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"), own_errors(torch.device("cpu")):
        raise RuntimeError("shape mismatch")
