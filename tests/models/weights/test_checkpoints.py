"""Published and own checkpoints: the reference's outputs, the round trip, every way a file can be wrong."""

import hashlib
import json
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.runtime.conversion import convert
from models.weights.cards import ModelCard, Role
from models.weights.checkpoints import load_checkpoint, save_checkpoint
from models.weights.files import CheckpointError
from models.weights.networks import build_network
from models.weights.published import THRESHOLDS, parse_directory, preprocessing
from tests.models.golden import IMAGENET, cases, filled, network_input, read_case

SMALL = "Linknet_mobilenet_v2_imagenet_050921_1419"


CONVERTED = {
    "disease__DeepLabV3+_timm-regnetx_032",
    "disease__PSPNet_efficientnet-b0",
    "lungs__PSPNet_timm-regnety_064",
}
"""Those whose converted network is compared too: a few encoders. test_conversion.py has every architecture."""


def shapes(network: nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def small_state() -> dict[str, Tensor]:
    """The state dict of a small published disease network."""
    return filled(shapes(build_network("Linknet", "mobilenet_v2", classification_head=True)))


@pytest.fixture(scope="module")
def own() -> tuple[nn.Module, ModelCard]:
    """A small network of today and its card."""
    network = build_network("Linknet", "mobilenet_v2")
    network.load_state_dict(filled(shapes(network)))
    card = ModelCard(
        role="lungs",
        name="tiny",
        architecture="LinkNet",
        encoder="mobilenet_v2",
        input_size=64,
        min_lung_area=100,
        training_data="none",
        metrics={"dice": 0.5},
        **IMAGENET,
    )
    return network.eval(), card


@pytest.fixture
def published(tmp_path: Path, small_state: dict[str, Tensor]) -> Callable[..., Path]:
    """Lays a published checkpoint down in its directory."""

    def lay(content: object = None, directory: str = SMALL) -> Path:
        path = tmp_path / directory / "weights.pth"
        path.parent.mkdir()
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(small_state if content is None else content, path)
        return path

    return lay


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(path: Path, role: Role = "disease") -> str:
    """The message a load is refused with: always one line that says what was expected and found."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, role)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert ": expected " in message and ", found " in message
    return message


# The published ones


def test_the_converted_ones_are_among_them() -> None:
    assert set(cases()) >= CONVERTED


@pytest.mark.parametrize("stem", cases())
def test_published_checkpoint_answers_as_published(stem: str, tmp_path: Path) -> None:
    case = read_case(stem)
    path = tmp_path / case["directory"] / "weights.pth"
    path.parent.mkdir()
    torch.save(filled(case["keys"]), path)

    network, card = load_checkpoint(path, case["stage"])
    path.unlink()

    assert (card.architecture, card.encoder) == (case["architecture"], case["encoder"])
    assert (card.classification_head, card.input_size) == (case["classification_head"], case["input_size"])
    assert (list(card.mean), list(card.std)) == (case["mean"], case["std"])
    assert card.threshold == (THRESHOLDS[card.architecture] if card.role == "disease" else None)
    assert not network.training
    picture = network_input(card.input_size, card.mean, card.std)
    with torch.inference_mode():
        eager = network(picture)
    answers = [eager if card.classification_head else (eager,)]
    if stem in CONVERTED:
        engine = openvino.compile_model(convert(network, card.input_size), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answers.append([*engine(picture.numpy()).values()])
    for answer in answers:
        maps, *labels = map(torch.as_tensor, answer)
        golden = case["golden"]
        for row, column, probability in golden["samples"]:
            assert maps[0, 0, int(row), int(column)].item() == pytest.approx(probability, abs=1e-4)
        assert maps.mean().item() == pytest.approx(golden["probability_mean"], abs=1e-4)
        assert [label.item() for label in labels] == pytest.approx(
            [golden["label"]] if card.classification_head else [], abs=1e-4
        )


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "DeepLabV3+_timm-regnetx_032_imagenet_040921_1741",
            ("DeepLabV3+", "timm-regnetx_032", "imagenet"),
        ),
        ("Unet_se_resnext101_32x4d_imagenet_240821_1957", ("Unet", "se_resnext101_32x4d", "imagenet")),
        ("Unet++_dpn68b_imagenet+5k_240821_1957", ("Unet++", "dpn68b", "imagenet+5k")),
        ("weights", None),
        ("Unet_imagenet_240821_1957", None),
        ("Unet_dpn98_imagenet_240821", None),
    ],
)
def test_directory_names(name: str, parts: tuple[str, str, str] | None) -> None:
    said = parse_directory(name)
    assert (said and (said.architecture, said.encoder, said.pretraining)) == parts


def test_preprocessing_follows_the_encoders_family() -> None:
    imagenet = (IMAGENET["mean"], IMAGENET["std"])
    assert preprocessing("timm-regnetx_032") == preprocessing("tu-tf_efficientnet_lite0") == imagenet
    assert preprocessing("xception") == preprocessing("inceptionv4") == ((0.5,) * 3, (0.5,) * 3)
    assert preprocessing("efficientnet-b0", "advprop") == ((0.5,) * 3, (0.5,) * 3)
    mean, std = preprocessing("dpn98")
    assert mean == pytest.approx((0.486275, 0.458824, 0.407843), abs=1e-6)
    assert std == pytest.approx((0.234824,) * 3, abs=1e-6)


def test_dilated_mobilenet_has_published_keys(tmp_path: Path) -> None:
    network = build_network("DeepLabV3", "timm-mobilenetv3_small_075")
    old = {"aspp": "0", "conv": "1", "bn": "2"}
    state = {}
    for key, value in network.state_dict().items():
        part = key.split(".")
        state[".".join(["decoder", old[part[1]], *part[2:]]) if part[0] == "decoder" else key] = value
    path = tmp_path / "DeepLabV3_timm-mobilenetv3_small_075_imagenet_030921_1234" / "weights.pth"
    path.parent.mkdir()
    torch.save(state, path)
    assert load_checkpoint(path, "lungs")[1].encoder == "timm-mobilenetv3_small_075"


def test_published_defaults_and_a_card_that_overrides_them(published: Callable[..., Path]) -> None:
    path = published()
    card = load_checkpoint(path, "disease")[1]
    assert (card.name, card.input_size, card.threshold) == (SMALL, 480, 0.15)
    assert card.sha256 == fingerprint(path)

    path.with_suffix(".json").write_text(json.dumps({"input_size": 416, "threshold": 0.2, "name": "ours"}))
    card = load_checkpoint(path, "disease")[1]
    assert (card.name, card.input_size, card.threshold) == ("ours", 416, 0.2)


def test_a_card_makes_up_for_a_directorys_name(published: Callable[..., Path]) -> None:
    path = published(directory="anywhere")
    path.with_suffix(".json").write_text(json.dumps({"architecture": "linknet", "encoder": "mobilenet_v2"}))
    assert load_checkpoint(path, "disease")[1].architecture == "Linknet"


def test_files_of_older_torch_are_read(tmp_path: Path, small_state: dict[str, Tensor]) -> None:
    path = tmp_path / SMALL / "weights.pth"
    path.parent.mkdir()
    torch.save(small_state, path, _use_new_zipfile_serialization=False)
    assert load_checkpoint(path, "disease")[1].classification_head


# Own ones


@pytest.mark.parametrize("half", [True, False])
def test_own_checkpoint_makes_the_round_trip(own: tuple[nn.Module, ModelCard], half: bool, tmp_path: Path) -> None:
    network, card = own
    written = save_checkpoint(tmp_path / "lungs-v0.1", network, card, half=half)
    path = tmp_path / "lungs-v0.1.safetensors"
    assert written.sha256 == fingerprint(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lungs-v0.1.json", "lungs-v0.1.safetensors"]

    loaded, read = load_checkpoint(path, "lungs")
    assert read == written
    assert read.display_architecture == "Linknet"
    stored = {value.dtype for value in load_file(path).values() if value.is_floating_point()}
    assert stored == {torch.float16 if half else torch.float32}
    assert all(value.dtype != torch.float16 for value in loaded.state_dict().values())
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(loaded(picture), network(picture), atol=2e-2 if half else 0)


def test_a_weight_beyond_half_precision_keeps_its_value(own: tuple[nn.Module, ModelCard], tmp_path: Path) -> None:
    network, card = own
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["encoder.features.0.1.running_var"].fill_(1e6)
    large = build_network(card.architecture, card.encoder)
    large.load_state_dict(state)
    save_checkpoint(tmp_path / "large.safetensors", large, card)
    loaded = load_checkpoint(tmp_path / "large.safetensors", "lungs")[0]
    assert loaded.state_dict()["encoder.features.0.1.running_var"].max().item() == 1e6


def test_a_network_that_is_not_the_cards_is_not_written(own: tuple[nn.Module, ModelCard], tmp_path: Path) -> None:
    network, card = own
    with pytest.raises(CheckpointError, match="2 missing: classification_head"):
        save_checkpoint(tmp_path / "x", network, card.model_copy(update={"classification_head": True}))
    with pytest.raises(CheckpointError, match="no such file"):
        save_checkpoint(tmp_path / "nowhere" / "x", network, card)
    assert not any(tmp_path.iterdir())


def test_loading_needs_no_network(
    own: tuple[nn.Module, ModelCard],
    published: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    save_checkpoint(tmp_path / "own", *own)
    path = published()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_checkpoint(tmp_path / "own.safetensors", "lungs")
    load_checkpoint(path, "disease")


# What is refused


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / SMALL / "weights.pth"
    assert refusal(path) == f"{path}: expected a weights file, found no such file"
    assert "found no such file" in refusal(tmp_path / "own.safetensors")
    assert "found a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello world",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"version https://git-lfs.github.com/spec/v1\n",
        bytes(1000),
        b"PK\x03\x04" + bytes(100),
        b"(" * 50,
        b"\x80\x02}q\x00.",
    ],
)
def test_foreign_bytes(content: bytes, published: Callable[..., Path]) -> None:
    assert "expected a PyTorch state dict" in refusal(published(content))


def test_truncated_and_damaged_files(published: Callable[..., Path]) -> None:
    path = published()
    whole = path.read_bytes()
    for cut in (100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:cut])
        assert "found a damaged or foreign file" in refusal(path)


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
def test_pickled_code_is_not_run(published: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "sprung"
    path = published(Trap(target))
    assert "pickled code" in refusal(path)
    path.write_bytes(pickle.dumps(Trap(target)))
    assert "pickled code" in refusal(path)
    assert not target.exists()


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "found a list"),
        ({}, "found one without tensors"),
        ({"epoch": 3}, "found a int under the key 'epoch'"),
        ({"state_dict": {"a": torch.zeros(1)}}, "found a dict under the key 'state_dict'"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "another kind under the key 'a'"),
        (torch.zeros(3), "found a Tensor"),
    ],
)
def test_something_else_than_a_state_dict(content: object, found: str, published: Callable[..., Path]) -> None:
    assert found in refusal(published(content))


def test_whole_modules_are_refused(published: Callable[..., Path]) -> None:
    assert "pickled code" in refusal(published(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("directory", "found"),
    [
        ("weights", "the directory 'weights'"),
        ("SegNet_mobilenet_v2_imagenet_050921_1419", "unknown architecture 'SegNet'"),
        ("Linknet_mobilenet_v9_imagenet_050921_1419", "unknown encoder 'mobilenet_v9'"),
        ("DeepLabV3_densenet121_imagenet_050921_1419", "cannot build DeepLabV3"),
    ],
)
def test_directories_that_name_no_network(directory: str, found: str, published: Callable[..., Path]) -> None:
    assert found in refusal(published(directory=directory))


def test_keys_and_shapes_must_be_the_networks(published: Callable[..., Path], small_state: dict[str, Tensor]) -> None:
    state = dict(small_state)
    del state["encoder.features.0.0.weight"], state["segmentation_head.0.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["segmentation_head.0.weight"] = torch.zeros(2, 32, 1, 1)
    state["encoder.features.0.1.weight"] = torch.ones(32, dtype=torch.int64)
    message = refusal(published(state))
    assert "2 missing: encoder.features.0.0.weight, segmentation_head.0.bias" in message
    assert "1 unexpected: extra.weight" in message
    assert "1 of another shape: segmentation_head.0.weight ((2, 32, 1, 1) for (1, 32, 1, 1))" in message
    assert "1 of another type: encoder.features.0.1.weight (torch.int64 for torch.float32)" in message


def test_another_architectures_weights_are_counted(published: Callable[..., Path]) -> None:
    message = refusal(published(directory="Unet_resnet18_imagenet_050921_1419"))
    assert "missing: encoder.conv1.weight, encoder.bn1.weight, encoder.bn1.bias, …" in message
    assert "unexpected" in message


def test_stages_psp_net_never_runs_must_still_be_the_encoders(tmp_path: Path) -> None:
    network = build_network("PSPNet", "timm-regnetx_002")
    whole = build_network("FPN", "timm-regnetx_002")
    state = {
        **network.state_dict(),
        **{key: value for key, value in whole.state_dict().items() if key.startswith("encoder.")},
    }
    state = {key.replace("encoder.model.", "encoder."): value for key, value in state.items()}
    path = tmp_path / "PSPNet_timm-regnetx_002_imagenet_030921_1848" / "weights.pth"
    path.parent.mkdir()
    torch.save(state, path)
    load_checkpoint(path, "lungs")

    torch.save({**state, "encoder.s4.b1.conv1.conv.weight": torch.zeros(1)}, path)
    assert "encoder.model.s4.b1.conv1.conv.weight of shape" in refusal(path, "lungs")
    torch.save({**state, "encoder.s5.weight": torch.zeros(1)}, path)
    assert "1 unexpected: encoder.model.s5.weight" in refusal(path, "lungs")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(
    value: float, published: Callable[..., Path], small_state: dict[str, Tensor]
) -> None:
    bad = small_state["segmentation_head.0.bias"].clone().fill_(value)
    message = refusal(published({**small_state, "segmentation_head.0.bias": bad}))
    assert "expected finite weights, found 1 tensors with NaN or infinity: segmentation_head.0.bias" in message


def test_the_other_stages_weights(
    own: tuple[nn.Module, ModelCard], published: Callable[..., Path], tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "own", *own)
    own_path = tmp_path / "own.safetensors"
    assert "expected weights for the role 'disease', found weights for 'lungs'" in refusal(own_path)
    path = published()
    assert "expected weights for the role 'lungs', found a classification head" in refusal(path, "lungs")
    path.with_suffix(".json").write_text('{"role": "lungs"}')
    assert "expected weights for the role 'disease', found weights for 'lungs'" in refusal(path)
    with pytest.raises(ValueError, match="no such role: 'heart'"):
        load_checkpoint(path, "heart")  # type: ignore[arg-type]


def test_weights_that_are_not_the_cards(
    own: tuple[nn.Module, ModelCard], published: Callable[..., Path], tmp_path: Path
) -> None:
    card = save_checkpoint(tmp_path / "own", *own)
    path = tmp_path / "own.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    assert f"expected sha256 {card.sha256} as its card says" in refusal(path, "lungs")
    path = published()
    path.with_suffix(".json").write_text(json.dumps({"sha256": "0" * 64}))
    assert "expected sha256 000000" in refusal(path)


def test_damaged_safetensors(own: tuple[nn.Module, ModelCard], tmp_path: Path) -> None:
    network, card = own
    card = save_checkpoint(tmp_path / "own", network, card)
    path = tmp_path / "own.safetensors"
    for content in (b"", b"hello world" * 20, path.read_bytes()[:-3], bytes(100)):
        path.write_bytes(content)
        fixed = card.model_copy(update={"sha256": fingerprint(path)})
        path.with_suffix(".json").write_text(fixed.to_json())
        assert "expected a whole safetensors file" in refusal(path, "lungs")
    save_file({"a": torch.zeros(1)}, path)
    fixed = card.model_copy(update={"sha256": fingerprint(path)})
    with pytest.raises(CheckpointError, match="1 unexpected: a"):
        load_checkpoint(path, "lungs", card=fixed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "found no such file"),
        ("not json", "found other text"),
        ("\xff", "found other text"),
        ("[]", "found a JSON list"),
        ("{}", "role: Field required"),
        ({"architecture": "SegNet"}, "architecture: unknown architecture 'SegNet'"),
        ({"threshold": 0.3}, "threshold belongs to a disease card"),
        ({"role": "disease", "min_lung_area": None}, "a disease card needs a threshold"),
        ({"role": "disease", "threshold": 0.3}, "min_lung_area belongs to a lungs card"),
        ({"input_size": 100}, "input_size: Input should be a multiple of 32"),
        ({"std": [0.2, 0.0, 0.2]}, "std.1: Input should be greater than 0"),
        ({"nonsense": 1}, "nonsense: Extra inputs are not permitted"),
        ({"sha256": None}, "found a card without one"),
        ({"sha256": "abc"}, "sha256: String should match"),
    ],
)
def test_missing_and_bad_cards(
    text: str | dict[str, Any] | None, found: str, own: tuple[nn.Module, ModelCard], tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "own", *own)
    path = tmp_path / "own.json"
    if text is None:
        path.unlink()
    elif isinstance(text, dict):
        path.write_text(json.dumps({**json.loads(path.read_text()), **text}))
    else:
        path.write_text(text, encoding="latin-1")
    message = refusal(tmp_path / "own.safetensors", "lungs")
    assert found in message
    assert message.startswith(str(path))


def test_options_in_a_card_that_fit_no_network(own: tuple[nn.Module, ModelCard], tmp_path: Path) -> None:
    network, card = own
    save_checkpoint(tmp_path / "own", network, card)
    path = tmp_path / "own.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "options": {"nonsense": 1}}))
    assert "cannot build Linknet" in refusal(tmp_path / "own.safetensors", "lungs")
