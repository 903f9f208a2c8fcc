import numpy as np
import pytest
import torch
from segmentation_models_pytorch.decoders.manet.decoder import PABBlock
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from models.precision import Precision
from models.runtime.lowering import DTYPES, Wide, lower_attention, lower_precision
from models.runtime.torch_engine import TorchEngine
from models.weights import default_weights
from models.weights.checkpoints import load_checkpoint
from models.weights.networks import ARCHITECTURES, build_network

LOWERED: tuple[Precision, ...] = ("float16", "bfloat16")


class Attention(nn.Module):
    """Products that leave the range of float16."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(image.flatten(1) * 1e4 @ torch.ones(image[0].numel(), 2), 1)


def test_a_wide_part_computes_in_float32_inside_autocast() -> None:
    image = torch.ones(1, 3, 4, 4)
    with torch.autocast("cpu", torch.float16):
        assert not Attention()(image).isfinite().all()
        assert Wide(Attention())(image.half()).isfinite().all()


@pytest.mark.parametrize("precision", LOWERED)
def test_the_products_of_manets_attention_alone_stay_in_float32(precision: Precision) -> None:
    torch.manual_seed(0)
    network = build_network("MAnet", "resnet18").eval()
    lower_precision(network, precision, 64)
    (attention,) = [module for module in network.modules() if isinstance(module, PABBlock)]
    convolutions = [module for module in attention.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 4
    assert {module.weight.dtype for module in convolutions} == {DTYPES[precision]}
    products: list[torch.dtype] = []
    attention.map_softmax.register_forward_pre_hook(lambda _, inputs: products.append(inputs[0].dtype))
    with torch.inference_mode(), torch.autocast("cpu", DTYPES[precision]):
        network(torch.rand(1, 3, 64, 64))
    assert products == [torch.float32]


def test_attention_in_float16_answers_as_in_float32() -> None:
    # The architecture and encoder of the published stage II. The rest stays in float32, whose half is slow on a CPU.
    torch.manual_seed(0)
    network = build_network("MAnet", "timm-regnetx_064").eval()
    images = torch.randn(2, 3, 128, 128)
    with torch.inference_mode():
        expected = network(images)
        lower_attention(network, torch.float16)
        found = network(images)
    assert expected.std() > 0.001
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("precision", LOWERED)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_runs_lowered_on_a_gpu(
    architecture: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: shapes, formats and devices go through every operation, numbers do not."""
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    network = build_network(architecture, "timm-regnetx_002", classification_head=True).eval()
    lower_precision(network, precision, 128)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.inference_mode():
        for module in network.modules():
            for kind in (module._parameters, module._buffers):
                for name, value in kind.items():
                    if value is not None:
                        kind[name] = mode.from_tensor(value.detach()).to("cuda")
        with torch.autocast("cuda", DTYPES[precision], cache_enabled=False):
            maps, labels = network(torch.empty(2, 3, 128, 128, device="cuda"))
    assert labels.shape == (2, 1)
    assert maps.shape == (2, 1, 128, 128)
    assert maps.device.type == "cuda"


@pytest.mark.parametrize("precision", LOWERED)
def test_the_first_convolutions_keep_their_weights(precision: Precision) -> None:
    network, card = load_checkpoint(default_weights("disease"), "disease")
    lower_precision(network, precision, card.input_size)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    narrow = [module for module in convolutions if module.weight.dtype != torch.float32]
    assert convolutions[0].weight.dtype == torch.float32
    assert len(narrow) > len(convolutions) / 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_runs_lowered(architecture: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, "timm-regnetx_002").eval()
    images = [np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)]
    exact, _ = torch_engine(network, "float32").launch(images, alone=True).result()
    lowered, _ = torch_engine(network, "bfloat16").launch(images, alone=True).result()
    assert lowered.dtype == np.float32
    np.testing.assert_allclose(lowered, exact, atol=0.05)


def torch_engine(network: nn.Module, precision: Precision) -> TorchEngine:
    return TorchEngine(network, 128, (0.5,) * 3, (0.5,) * 3, "cpu", precision)


def test_float32_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid())
    lower_precision(network, "float32", 16)
    assert not any(isinstance(module, Wide) for module in network.modules())
