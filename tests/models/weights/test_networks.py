"""Every architecture builds, runs and answers to its usual names."""

import pytest
import torch
from torch import nn

from models.weights.architectures import UnknownNetworkError, canonical_architecture, display_name
from models.weights.networks import ARCHITECTURES, build_network, unused_encoder_shapes


@pytest.mark.parametrize("classification_head", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_builds_and_runs(architecture: str, classification_head: bool) -> None:
    network = build_network(architecture, "timm-regnetx_002", classification_head=classification_head).eval()
    with torch.inference_mode():
        answer = network(torch.zeros(1, 3, 128, 128))
    maps, labels = answer if classification_head else (answer, None)
    assert maps.shape == (1, 1, 128, 128)
    assert bool(((maps >= 0) & (maps <= 1)).all())
    if labels is not None:
        assert labels.shape == (1, 1)
        assert 0 <= labels.item() <= 1


@pytest.mark.parametrize(
    ("spelling", "architecture"),
    [
        ("MA-Net", "MAnet"),
        ("manet", "MAnet"),
        ("U-Net", "Unet"),
        ("UNET", "Unet"),
        ("U-Net++", "Unet++"),
        ("UnetPlusPlus", "Unet++"),
        ("deeplabv3+", "DeepLabV3+"),
        ("DeepLabV3Plus", "DeepLabV3+"),
        ("DeepLabV3", "DeepLabV3"),
        ("PSP-Net", "PSPNet"),
        ("LinkNet", "Linknet"),
    ],
)
def test_usual_spellings_are_understood(spelling: str, architecture: str) -> None:
    assert canonical_architecture(spelling) == architecture


def test_display_names_are_the_papers() -> None:
    names = {display_name(architecture) for architecture in ARCHITECTURES}
    expected = {"U-Net", "U-Net++", "DeepLabV3", "DeepLabV3+", "FPN", "Linknet", "PSPNet", "PAN", "MA-Net"}
    assert names == expected


def test_options_reach_the_constructor() -> None:
    network = build_network("Unet", "resnet18", options={"decoder_channels": [64, 32, 16, 8, 4]})
    assert network.get_submodule("segmentation_head")[0].in_channels == 4  # type: ignore[index]


@pytest.mark.parametrize(
    ("architecture", "encoder", "options", "message"),
    [
        ("SegNet", "resnet18", {}, "unknown architecture 'SegNet'"),
        ("Unet", "resnet19", {}, r"unknown encoder 'resnet19' \(near: .*resnet18"),
        ("Unet", "tu-no_such_model", {}, "unknown encoder"),
        ("Unet", "tu-hf-hub:someone/model", {}, "unknown encoder"),
        ("Unet", "tu-local-dir:/tmp", {}, "unknown encoder"),
        ("Unet", "", {}, "unknown encoder ''"),
        ("DeepLabV3", "densenet121", {}, "cannot build DeepLabV3 with encoder 'densenet121'"),
        ("Unet", "resnet18", {"nonsense": 1}, "cannot build Unet .*nonsense"),
        ("Unet", "tu-resnet18", {"checkpoint_path": "x"}, "cannot build Unet .*checkpoint_path"),
        ("Unet", "resnet18", {"classes": 2}, "cannot build Unet .*classes"),
        ("Unet", "resnet18", {"decoder_channels": [8]}, "cannot build Unet"),
    ],
)
def test_what_cannot_be_built_is_named(
    architecture: str, encoder: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UnknownNetworkError, match=message) as caught:
        build_network(architecture, encoder, options=options)
    assert "\n" not in str(caught.value)


def _dilations(network: nn.Module, stage: str) -> set[tuple[int, ...]]:
    modules = network.get_submodule(stage).modules()
    return {(*module.stride, *module.dilation) for module in modules if isinstance(module, nn.Conv2d)}


@pytest.mark.parametrize(
    ("architecture", "third", "fourth"), [("DeepLabV3", 2, 4), ("DeepLabV3+", None, 2), ("PAN", None, 2)]
)
def test_published_encoders_are_dilated_as_published(architecture: str, third: int | None, fourth: int) -> None:
    network = build_network(architecture, "timm-regnety_002")
    assert _dilations(network, "encoder.model.s4") == {(1, 1, fourth, fourth)}
    if third is None:
        assert (2, 2, 1, 1) in _dilations(network, "encoder.model.s3")
    else:
        assert _dilations(network, "encoder.model.s3") == {(1, 1, third, third)}


def test_encoders_of_today_keep_the_librarys_dilation() -> None:
    network = build_network("DeepLabV3+", "tu-regnety_002")
    assert len(_dilations(network, "encoder.model.s4")) > 1


@pytest.mark.parametrize(
    ("architecture", "encoder", "prefixes"),
    [
        ("PSPNet", "timm-regnety_002", {"encoder.model.s3", "encoder.model.s4"}),
        ("PSPNet", "efficientnet-b0", set()),
        ("PSPNet", "tu-regnety_002", set()),
        ("FPN", "timm-regnety_002", set()),
    ],
)
def test_only_the_stages_cut_off_count_as_unused(architecture: str, encoder: str, prefixes: set[str]) -> None:
    unused = unused_encoder_shapes(build_network(architecture, encoder), encoder)
    assert {".".join(key.split(".")[:3]) for key in unused} == prefixes
