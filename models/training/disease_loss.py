"""Stage II's loss: one term for each kind of knowledge about a radiograph's disease."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.training.fitting import Batch, dice_loss

# The soft count of affected zones: a share's weight rises from 0 to 1 around this threshold.
_SOFT_THRESHOLD, _SOFT_WIDTH = 0.3, 0.08
# A share counts pixels over 0.5; sharpened probabilities come near to that and still have a gradient.
_SHARPNESS = 3.0
# At least half of a box shows the opacity that it was drawn round.
_FILLED_BOX = 0.5
_LEAST_BOX = 64
"""No disease is required in a box with fewer pixels than this within the lungs."""

_COUNT_WEIGHT = 0.15


@dataclass(frozen=True)
class Weights:
    """How much each kind of knowledge counts, where drawn masks count 1.

    Attributes:
        healthy: zone shares of healthy lungs, relative to those of others.
        without_opacity: no disease where a radiograph has other findings.
        label: the classification head's label.
    """

    healthy: float = 0.5
    without_opacity: float = 0.5
    label: float = 0.5


PLAIN: Final = Weights()


def disease_loss(answer: Any, batch: Batch, weights: Weights = PLAIN) -> Tensor:
    """The map's loss and, with a classification head, the label's.

    Args:
        answer: logits [N, 1, H, W], or a pair of those and the label's logits [N, 1].
        batch: of ``models.training.disease.DiseaseBatches``.
    """
    if not isinstance(answer, tuple):
        return map_loss(answer, batch, weights)
    logits, label = answer
    return map_loss(logits, batch, weights) + weights.label * _label_loss(label[:, 0], batch)


def map_loss(logits: Tensor, batch: Batch, weights: Weights = PLAIN) -> Tensor:
    """Dice + cross-entropy on masks, cross-entropy + L1 on zone shares, boxes, and the count of affected zones.

    Args:
        logits: [N, 1, H, W].
        batch: ``zones`` [N, H, W]; ``disease`` [N, 1, H, W] and ``masked`` [N]; ``boxes`` [N, H, W] and ``boxed``
            [N]; ``shares`` [N, 6] and ``score`` [N] with NaN where there is none; ``healthy`` and
            ``without_opacity`` [N].
    """
    one_hot = functional.one_hot(batch["zones"].long(), 7)[..., 1:].permute(0, 3, 1, 2).float()
    sharpened = torch.sigmoid(_SHARPNESS * logits)
    areas = one_hot.sum((2, 3))
    shares = (sharpened * one_hot).sum((2, 3)) / areas.clamp_min(1.0)
    within = one_hot.sum(1, keepdim=True)
    terms = [
        _mask_loss(logits, batch, within),
        _box_loss(logits, sharpened, batch, within),
        _share_loss(shares, batch, areas > 0, weights.healthy),
        weights.without_opacity * _tolerant_loss(shares, batch["without_opacity"][:, None] & (areas > 0)),
        _COUNT_WEIGHT * _count_loss(shares, batch["score"]),
    ]
    return torch.stack(terms).sum()


def _mask_loss(logits: Tensor, batch: Batch, within: Tensor) -> Tensor:
    chosen = batch["masked"]
    if not chosen.any():
        return logits.sum() * 0
    logits, target, within = logits[chosen], batch["disease"][chosen], within[chosen]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return dice_loss(logits.sigmoid(), target, within) + (entropy * within).sum() / within.sum().clamp_min(1.0)


def _box_loss(logits: Tensor, sharpened: Tensor, batch: Batch, within: Tensor) -> Tensor:
    """Asks for no disease outside the boxes and for some in each: more than half a box gains nothing."""
    terms = []
    for index in torch.nonzero(batch["boxed"]).flatten():
        lungs, boxes = within[index, 0] > 0, batch["boxes"][index]
        outside = lungs & (boxes == 0)
        if outside.any():
            terms.append(functional.softplus(logits[index, 0][outside]).mean())
        for number in range(1, int(boxes.max()) + 1):
            inside = lungs & (boxes == number)
            if inside.sum() >= _LEAST_BOX:
                filled = sharpened[index, 0][inside].mean() / _FILLED_BOX
                terms.append(-torch.log(filled.clamp(1e-4, 1)))
    return torch.stack(terms).mean() if terms else logits.sum() * 0


def _share_loss(shares: Tensor, batch: Batch, visible: Tensor, healthy: float) -> Tensor:
    known = visible & ~batch["shares"].isnan()
    if not known.any():
        return shares.sum() * 0
    weight = torch.where(batch["healthy"], healthy, 1.0)[:, None].expand_as(known)[known]
    shares, target = shares[known].clamp(1e-4, 1 - 1e-4), batch["shares"][known]
    entropy = functional.binary_cross_entropy(shares, target, reduction="none")
    return ((entropy + (shares - target).abs()) * weight).sum() / weight.sum()


def _tolerant_loss(shares: Tensor, known: Tensor) -> Tensor:
    """L1 distance to no disease: unlike cross-entropy, it has little effect where the label is plainly wrong."""
    return shares[known].mean() if known.any() else shares.sum() * 0


def _count_loss(shares: Tensor, score: Tensor) -> Tensor:
    known = ~score.isnan()
    if not known.any():
        return shares.sum() * 0
    count = torch.sigmoid((shares[known] - _SOFT_THRESHOLD) / _SOFT_WIDTH).sum(1)
    return functional.smooth_l1_loss(count, score[known])


def _label_loss(logits: Tensor, batch: Batch) -> Tensor:
    weight = batch["label_weight"]
    entropy = functional.binary_cross_entropy_with_logits(logits, batch["label"], reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp_min(1e-6)
