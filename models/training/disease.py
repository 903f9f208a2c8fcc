"""Stage II: masked lung crops against disease masks, published zone shares, readers' scores and normals.

Crops are made by the trained stage I and masked outside the lungs, as at run time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.cropping import own_crop
from models.lungs import Box, MaskView, separate_lungs
from models.pack import Case
from models.pixels import Mask, Pixels
from models.placement import Placement
from models.stage import Stage
from models.training.augmentation import Augmentation, warp
from models.training.crops import box_of, find_lungs, shrink
from models.training.fitting import Batch, dice_loss, normalised

BATCH_SHARE = {"masked": 3, "shares": 3, "child": 1, "adult": 1}
"""Radiographs of each kind in a batch: with a disease mask, with shares only, normal children, normal adults."""

# The soft count of affected zones: a share's weight rises from 0 to 1 around this threshold.
_SOFT_THRESHOLD, _SOFT_WIDTH = 0.3, 0.08
# A share counts pixels over 0.5; sharpened probabilities come near to that and still have a gradient.
_SHARPNESS = 3.0
_COUNT_WEIGHT = 0.15


@dataclass(frozen=True)
class _Sample:
    """A radiograph as a square: gray, cleaned lungs 0/255, zones 0..6, disease 0/255 (or none)."""

    picture: Pixels
    lungs: Pixels
    zones: Pixels
    disease: Pixels | None
    shares: NDArray[np.float32]
    score: float


class DiseaseBatches:
    """Augmented batches of four kinds of radiograph; the same seed and epoch give the same ones."""

    def __init__(
        self,
        cases: Sequence[Case],
        lungs: Stage,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        count: int,
        seed: int,
        own_side: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        """Args:
        cases: those whose two lungs stage I finds are used.
        lungs: the trained stage I.
        size: stage II's input size, pixels.
        mean, std: of each channel, on the 0..1 scale.
        count: batches an epoch; a batch is made up as ``BATCH_SHARE`` says.
        own_side: crops are cut from the radiograph at this side, which stands for its own pixels; None: from what
            stage I sees.
        """
        self.kinds = _sort_by_kind(cases, lungs, own_side or lungs.input_size)
        self.own_pixels, self.outline_step = own_side is not None, (own_side or lungs.input_size) / lungs.input_size
        self.size, self.mean, self.std = size, mean, std
        self.count, self.seed = count, seed
        self.augmentation = augmentation or Augmentation()

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, epoch))
        for _ in range(self.count):
            chosen = [
                samples[index]
                for kind, samples in self.kinds.items()
                for index in rng.choice(len(samples), BATCH_SHARE[kind], replace=len(samples) < BATCH_SHARE[kind])
            ]
            yield _collate([self._augmented(rng, sample) for sample in chosen], self.mean, self.std)

    def _augmented(self, rng: np.random.Generator, sample: _Sample) -> dict[str, np.ndarray]:
        pose = self.augmentation.pose(rng, sample.picture.shape[0])
        lungs = _resized_outline(rng, warp(sample.lungs, pose) > 127, self.outline_step)
        box = box_of(lungs)
        rows, columns = box.slices
        exposed = self.augmentation.expose(rng, warp(sample.picture, pose))
        zones = warp(sample.zones, pose, nearest=True) * lungs
        disease = np.zeros_like(zones) if sample.disease is None else warp(sample.disease, pose)
        size = (self.size, self.size)
        if self.own_pixels:
            image = own_crop(exposed, lungs, box, self.size).astype(np.float32) / 255
        else:
            seen = (exposed * lungs)[rows, columns].astype(np.float32) / 255
            image = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_CUBIC), np.float32)
        return {
            "image": image,
            "zones": cv2.resize(zones[rows, columns], size, interpolation=cv2.INTER_NEAREST),
            "disease": cv2.resize(disease[rows, columns], size, interpolation=cv2.INTER_LINEAR),
            "masked": np.array(sample.disease is not None, np.float32),
            "shares": sample.shares,
            "score": np.array(sample.score, np.float32),
        }


def disease_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Dice + cross-entropy on masks, cross-entropy + L1 on zone shares, and the count of affected zones.

    Args:
        logits: [N, 1, H, W].
        batch: ``zones`` [N, H, W], ``disease`` [N, 1, H, W], ``masked`` [N], and ``shares`` [N, 6] and
            ``score`` [N] with NaN where there is none.
    """
    one_hot = functional.one_hot(batch["zones"].long(), 7)[..., 1:].permute(0, 3, 1, 2).float()
    sharpened = torch.sigmoid(_SHARPNESS * logits)
    areas = one_hot.sum((2, 3))
    shares = (sharpened * one_hot).sum((2, 3)) / areas.clamp_min(1.0)
    terms = [
        _mask_loss(logits, batch, one_hot.sum(1, keepdim=True)),
        _share_loss(shares, batch["shares"], areas > 0),
        _COUNT_WEIGHT * _count_loss(shares, batch["score"]),
    ]
    return torch.stack(terms).sum()


def _mask_loss(logits: Tensor, batch: Batch, within: Tensor) -> Tensor:
    chosen = batch["masked"] > 0
    if not chosen.any():
        return logits.sum() * 0
    logits, target, within = logits[chosen], batch["disease"][chosen], within[chosen]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return dice_loss(logits.sigmoid(), target, within) + (entropy * within).sum() / within.sum().clamp_min(1.0)


def _share_loss(shares: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    known = visible & ~target.isnan()
    if not known.any():
        return shares.sum() * 0
    shares, target = shares[known].clamp(1e-4, 1 - 1e-4), target[known]
    return functional.binary_cross_entropy(shares, target) + functional.l1_loss(shares, target)


def _count_loss(shares: Tensor, score: Tensor) -> Tensor:
    known = ~score.isnan()
    if not known.any():
        return shares.sum() * 0
    count = torch.sigmoid((shares[known] - _SOFT_THRESHOLD) / _SOFT_WIDTH).sum(1)
    return functional.smooth_l1_loss(count, score[known])


def _collate(items: Sequence[Mapping[str, np.ndarray]], mean: Sequence[float], std: Sequence[float]) -> Batch:
    stacked = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
    image = normalised(stacked["image"], mean, std)
    return {**stacked, "image": image, "disease": stacked["disease"][:, None].float() / 255}


def _resized_outline(rng: np.random.Generator, lungs: Mask, step: float) -> Mask:
    """The lungs a few pixels (each ``step`` wide) wider or narrower: stage I's outline is not exact either."""
    change = round(step * int(rng.integers(-3, 4)))
    if change == 0:
        return lungs
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(change) + 1,) * 2)
    operation = cv2.MORPH_DILATE if change > 0 else cv2.MORPH_ERODE
    return np.asarray(cv2.morphologyEx(lungs.view(np.uint8), operation, kernel)).view(np.bool_)


def _sort_by_kind(cases: Sequence[Case], lungs: Stage, side: int) -> dict[str, list[_Sample]]:
    kinds: dict[str, list[_Sample]] = {kind: [] for kind in BATCH_SHARE}
    for case in cases:
        kind = _kind(case)
        sample = _prepare(case, lungs, side) if kind else None
        if kind and sample:
            kinds[kind].append(sample)
    return kinds


def _kind(case: Case) -> str | None:
    if case.has_disease:
        return "masked"
    if case.is_normal:
        return "adult" if case.is_adult_normal else "child"
    return "shares" if case.shares is not None else None


def _prepare(case: Case, lungs: Stage, side: int) -> _Sample | None:
    """The case at ``side`` x ``side`` with what stage I finds; None where it does not find two lungs."""
    size = lungs.input_size
    mask = find_lungs(shrink(case.pixels, size), lungs)
    view = MaskView(Box(0, 0, size, size), size)
    pair = separate_lungs(mask, "robust", view)
    if pair.left is None or pair.right is None:
        return None
    return _Sample(
        picture=shrink(case.pixels, side),
        lungs=shrink(mask.astype(np.uint8) * 255, side),
        zones=Placement(side, side, view, grid=size).zones(pair),
        disease=shrink(case.disease.astype(np.uint8) * 255, side) if case.has_disease else None,
        shares=_target_shares(case),
        score=0.0 if case.is_normal else float("nan") if case.score is None else case.score,
    )


def _target_shares(case: Case) -> NDArray[np.float32]:
    if case.is_normal:
        return np.zeros(6, np.float32)
    if case.has_disease or case.shares is None:
        return np.full(6, np.nan, np.float32)
    return np.array(case.shares, np.float32)
