from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.runtime import device
from models.runtime.device import resolve_device, resolve_precision
from models.runtime.errors import DeviceError, NotFiniteError
from models.runtime.stage import Stage
from tests.support.stubs import BrightIsDisease


class Seen(nn.Module):
    """Answers one channel of what it sees."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, images: Tensor) -> Tensor:
        return images[:, self.channel]


def seen(picture: np.ndarray, **arguments: Any) -> Tensor:
    """What a network sees of one picture: float32 [1, 3, h, w]."""
    channels = [Stage(Seen(channel), **arguments).predict([picture])[0] for channel in range(3)]
    return torch.from_numpy(np.stack(channels, axis=1))


def test_resize_is_bicubic_without_antialiasing_on_the_unit_scale() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (73, 131, 3), dtype=np.uint8)
    found = seen(image, input_size=96, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    scaled = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    resized = functional.interpolate(scaled, (96, 96), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    torch.testing.assert_close(found, (resized - mean) / std, atol=5e-5, rtol=0)


def test_a_picture_of_the_input_size_is_only_normalised() -> None:
    image = np.full((64, 64), 255, np.uint8)
    found = seen(image, input_size=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.testing.assert_close(found, torch.ones(1, 3, 64, 64))


def test_predict_takes_arrays_and_lists_and_gives_maps_and_labels() -> None:
    stage = Stage(BrightIsDisease(label=0.7), input_size=32)
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    maps, labels = stage.predict(images)
    assert maps.shape == (3, 32, 32)
    assert maps.dtype == np.float32
    assert labels == pytest.approx([0.7] * 3)
    again, _ = stage.predict([images[0], images[1][:32, :32], images[2, :, :, 0]])
    np.testing.assert_allclose(again[0], maps[0])
    assert Stage(BrightIsDisease(), input_size=32).predict(images)[1] is None


def test_constructor_arguments_are_attributes() -> None:
    network = BrightIsDisease()
    stage = Stage(network, input_size=96, mean=(0.1,) * 3, std=(0.2,) * 3)
    assert stage.network is network
    assert (stage.input_size, stage.mean, stage.std, str(stage.device)) == (96, (0.1,) * 3, (0.2,) * 3, "cpu")


def test_bfloat16_stays_near_float32() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1), nn.Sigmoid()
    )
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    exact, _ = Stage(network, input_size=64).predict([image])
    near, _ = Stage(network, input_size=64, precision="bfloat16").predict([image])
    assert near.dtype == np.float32
    np.testing.assert_allclose(near, exact, atol=0.02)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_is_no_number_is_refused(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            answer = images[:, 0].clone()
            answer[-1, 3, 5] = value
            return answer

    with pytest.raises(NotFiniteError):
        Stage(Broken(), input_size=16).run([np.zeros((16, 16), np.uint8)] * 3)


def test_threads_do_not_mix_their_pictures() -> None:
    stage = Stage(BrightIsDisease(), input_size=32)
    images = [np.full((32, 32), value, np.uint8) for value in range(0, 250, 10)]
    alone = [stage.run([image])[0] for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda image: stage.run([image])[0], images * 8))
    for answer, wanted in zip(together, alone * 8, strict=True):
        np.testing.assert_array_equal(answer, wanted)


class Choosing(nn.Module):
    """Does what no exporter can know beforehand."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :1] if images.mean() > 0 else 1 - images[:, :1]


def test_a_network_that_cannot_be_exported_runs_in_pytorch_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    maps, _ = Stage(Choosing(), input_size=32, mean=(0,) * 3, std=(1,) * 3).predict([image])
    np.testing.assert_allclose(maps[0], image / np.float32(255), atol=1e-6)
    assert "runs in PyTorch: Choosing cannot be exported" in caplog.text


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_precision("auto", "cuda:0", "lungs") == "float32"
    assert resolve_precision("auto", "cuda:0", "disease") == "float16"
    assert resolve_precision("auto", "cpu", "disease") == "float32"
    monkeypatch.setattr(device, "supported_precisions", lambda: frozenset({"float32", "int8"}))
    assert resolve_precision("auto", "cpu", "lungs", ("bfloat16", "int8")) == "int8"
    assert resolve_precision("auto", "cpu", "lungs", ("bfloat16",)) == "float32"
    with pytest.raises(DeviceError, match=r"precision 'bfloat16': expected one of this processor's, float32, int8"):
        resolve_precision("bfloat16", "cpu", "lungs")
    with pytest.raises(DeviceError, match="precision 'double': expected auto"):
        resolve_precision("double", "cpu", "lungs")


def test_a_module_has_no_int8() -> None:
    with pytest.raises(DeviceError, match="expected a network that was quantized, found a PyTorch module"):
        Stage(BrightIsDisease(), input_size=32, precision="int8").predict([np.zeros((32, 32), np.uint8)])
