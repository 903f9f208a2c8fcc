"""The losses of the paper's search, by its names, over logits."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torch.nn import functional

from models.training.fitting import Batch, Loss

MapLoss: TypeAlias = Literal["Dice", "Jaccard", "BCE", "Lovasz", "Focal"]
LabelLoss: TypeAlias = Literal["BCE", "SL1", "L1"]

_ON_MAPS: Mapping[MapLoss, type[nn.Module]] = {
    "Dice": smp.losses.DiceLoss,
    "Jaccard": smp.losses.JaccardLoss,
    "Lovasz": smp.losses.LovaszLoss,
    "Focal": smp.losses.FocalLoss,
}
_SMOOTHED = frozenset({"Dice", "Jaccard"})


def build_loss(on_map: MapLoss, on_label: LabelLoss | None) -> Loss:
    """The loss of a map against ``batch["mask"]`` [N, 1, H, W], and of the label against ``batch["label"]`` [N, 1].

    Both count the same, as published. The published code gave the Lovász and focal losses probabilities, although they
    expect logits; here all get logits.
    """
    of_map = _map_loss(on_map)

    def loss(answer: Any, batch: Batch) -> Tensor:
        if on_label is None:
            return cast("Tensor", of_map(answer, batch["mask"]))
        maps, label = answer
        return cast("Tensor", of_map(maps, batch["mask"])) + _label_loss(on_label, label, batch["label"])

    return loss


def _map_loss(name: MapLoss) -> nn.Module:
    if name == "BCE":
        return nn.BCEWithLogitsLoss()
    if name in _SMOOTHED:
        return _ON_MAPS[name](mode="binary", smooth=1.0)
    return _ON_MAPS[name](mode="binary")


def _label_loss(name: LabelLoss, logits: Tensor, label: Tensor) -> Tensor:
    if name == "BCE":
        return functional.binary_cross_entropy_with_logits(logits, label)
    if name == "SL1":
        return functional.smooth_l1_loss(logits.sigmoid(), label)
    return functional.l1_loss(logits.sigmoid(), label)
