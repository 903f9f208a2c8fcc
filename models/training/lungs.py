"""Stage I's batches and loss: whole radiographs with lung masks drawn by people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.pack import Case
from models.pixels import Pixels
from models.training.augmentation import Augmentation, warp
from models.training.crops import shrink
from models.training.fitting import Batch, dice_loss, normalised


@dataclass(frozen=True)
class _Sample:
    picture: Pixels
    lungs: Pixels


class LungBatches:
    """Augmented batches of radiographs and their lung masks; the same seed and epoch give the same ones."""

    def __init__(
        self,
        cases: Sequence[Case],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        count: int,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
    ) -> None:
        """Reads the radiographs and masks.

        Args:
            cases: those with a lung mask are used; each is resized to ``size`` x ``size`` as at run time.
            mean, std: of each channel, on the 0..1 scale.
            count: batches per epoch.
        """
        self.samples = [_prepare(case, size) for case in cases if case.has_lungs]
        self.size, self.mean, self.std = size, mean, std
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.augmentation = augmentation or Augmentation(rotation=18, scale=1.25, inversion=0.06)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, epoch))
        needed = self.count * self.batch_size
        rounds = -(-needed // len(self.samples))
        order = np.concatenate([rng.permutation(len(self.samples)) for _ in range(rounds)])[:needed]
        for indices in order.reshape(self.count, self.batch_size):
            yield self._batch(rng, [self.samples[index] for index in indices])

    def _batch(self, rng: np.random.Generator, samples: Sequence[_Sample]) -> Batch:
        pictures, masks = [], []
        for sample in samples:
            pose = self.augmentation.pose(rng, self.size)
            pictures.append(self.augmentation.expose(rng, warp(sample.picture, pose)))
            masks.append(warp(sample.lungs, pose))
        image = normalised(torch.from_numpy(np.stack(pictures)).float().div_(255), self.mean, self.std)
        return {"image": image, "lungs": torch.from_numpy(np.stack(masks))[:, None].float().div_(255)}


def lung_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Dice + binary cross-entropy against the drawn lungs."""
    target = batch["lungs"]
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    return dice_loss(logits.sigmoid(), target) + entropy


def _prepare(case: Case, size: int) -> _Sample:
    return _Sample(shrink(case.pixels, size), shrink(case.lungs.astype(np.uint8) * 255, size))
