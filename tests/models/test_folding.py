import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import load_checkpoint
from models.folding import fold_batch_norms
from models.networks import ARCHITECTURES, build_network
from models.weights import default_weights


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def with_statistics(network: nn.Module) -> nn.Module:
    """Running statistics as after training: with fresh ones folding would change nothing."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


@pytest.mark.parametrize("encoder", ["resnet18", "tu-tf_efficientnet_lite0", "timm-regnetx_002"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_the_same_with_fewer_normalisations(architecture: str, encoder: str) -> None:
    # In double precision, as an untrained network may blow up what rounding alone does.
    network = with_statistics(build_network(architecture, encoder, classification_head=True)).double()
    before = norms(network)
    image = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.inference_mode():
        expected = network(image)
        assert fold_batch_norms(network, 128)
        found = network(image)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=0)
    # PSPNet carries stages of its encoder that it never runs.
    assert norms(network) < 0.5 * before


@pytest.mark.parametrize("role", ["lungs", "disease"])
def test_the_embedded_networks_lose_all_of_theirs(role: str) -> None:
    network, card = load_checkpoint(default_weights(role), role)
    assert fold_batch_norms(network, card.input_size)
    assert norms(network) == 0


def test_a_second_reader_that_no_module_shows_is_noticed() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, images: Tensor) -> Tensor:
            made = self.conv(images)
            return self.norm(made) + made

    assert not fold_batch_norms(with_statistics(Residual()), 32)
