"""The paper's own batches: its augmentation, its samples, its judge; ``presets`` has each network's settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import nn

from models.pack import Case
from models.pixels import Pixels
from models.runtime.stage import Stage
from models.training.crops import box_of, find_lungs, shrink
from models.training.fitting import Batch, Batches, Judge, normalised

_ROTATION = 15.0
_LARGEST_CLIP = 4.0
_TILES = (8, 8)


@dataclass(frozen=True)
class Sample:
    """A radiograph uint8 [H, W], the mask to be found in it (uint8 0/255 [H, W]), and whether it has any."""

    picture: Pixels
    mask: Pixels

    @property
    def label(self) -> float:
        return float(self.mask.any())


def lung_samples(cases: Sequence[Case], size: int) -> list[Sample]:
    """Radiographs with drawn lungs."""
    return [
        Sample(shrink(case.pixels, size), shrink(case.lungs.astype(np.uint8) * 255, size))
        for case in cases
        if case.has_lungs
    ]


def disease_samples(cases: Sequence[Case], lungs: Stage) -> list[Sample]:
    """Radiographs with drawn disease, and normals; cut out and masked as ``lungs`` finds them."""
    return [_cut_out(case, lungs) for case in cases if case.has_disease or case.is_normal]


def augment(rng: np.random.Generator, sample: Sample) -> Sample:
    """Augments as the paper's training does: local contrast, a part of the picture, rotation, mirroring, exposure.

    The paper's part is 0.7 to 0.9 of the input size, cut from the picture before it is resized; here it is 0.7 to 0.9
    of the picture's own sides.
    """
    picture, mask = sample.picture, sample.mask
    if rng.random() < 0.2:
        picture = np.asarray(cv2.createCLAHE(rng.uniform(1, _LARGEST_CLIP), _TILES).apply(picture), np.uint8)
    if rng.random() < 0.2:
        part = _part(rng, picture)
        picture, mask = picture[part], mask[part]
    if rng.random() < 0.5:
        angle = rng.uniform(-_ROTATION, _ROTATION)
        picture, mask = _rotated(picture, angle, cv2.INTER_LINEAR), _rotated(mask, angle, cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
    if rng.random() < 0.2:
        contrast, brightness = 1 + rng.uniform(-0.2, 0.2), 255 * rng.uniform(-0.2, 0.2)
        picture = np.clip(np.rint(picture * contrast + brightness), 0, 255).astype(np.uint8)
    return Sample(np.ascontiguousarray(picture), np.ascontiguousarray(mask))


class PublishedBatches:
    """All samples once per epoch, in a new order each; the same seed and epoch give the same batches."""

    def __init__(
        self,
        samples: Sequence[Sample],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int,
        seed: int = 0,
        augmented: bool = True,
    ) -> None:
        """Takes the samples and how the network sees them.

        Args:
            size: side of the network's input, pixels.
            mean, std: of each channel, on the 0..1 scale.
            augmented: change samples at random and shuffle them; otherwise they stay as they are, in their order.
        """
        self.samples = samples
        self.size, self.mean, self.std = size, mean, std
        self.batch_size, self.seed, self.augmented = batch_size, seed, augmented

    def __len__(self) -> int:
        """Batches per epoch; training leaves out a last one of a single radiograph: batch normalisation needs two."""
        whole, rest = divmod(len(self.samples), self.batch_size)
        return whole + (rest > 1 or (rest == 1 and not self.augmented))

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.samples)) if self.augmented else np.arange(len(self.samples))
        for first in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = [self.samples[index] for index in order[first : first + self.batch_size]]
            yield self._collated([augment(rng, sample) for sample in chosen] if self.augmented else chosen)

    def _collated(self, samples: Sequence[Sample]) -> Batch:
        size = (self.size, self.size)
        pictures = [
            cv2.resize(item.picture.astype(np.float32) / 255, size, interpolation=cv2.INTER_CUBIC) for item in samples
        ]
        masks = [cv2.resize(item.mask, size, interpolation=cv2.INTER_NEAREST) > 127 for item in samples]
        return {
            "image": normalised(torch.from_numpy(np.stack(pictures)), self.mean, self.std),
            "mask": torch.from_numpy(np.stack(masks))[:, None].float(),
            "label": torch.tensor([[item.label] for item in samples]),
        }


def f1_judge(batches: Batches, device: torch.device) -> Judge:
    """Judges by the mean F1 score (Dice) of the batches' maps at a probability of one half, empty if the label is."""

    def judge(network: nn.Module, epoch: int) -> float:
        del epoch
        with torch.inference_mode():
            return float(np.mean([_f1(network, batch, device) for batch in batches(0)]))

    return judge


def _f1(network: nn.Module, batch: Batch, device: torch.device) -> float:
    answer = network(batch["image"].to(device))
    maps, label = answer if isinstance(answer, tuple) else (answer, None)
    found = maps.float() > 0
    if label is not None:
        found &= (label.float() > 0)[:, :, None, None]
    drawn = batch["mask"].to(device) > 0
    both, total = (found & drawn).sum(), found.sum() + drawn.sum()
    return float((2 * both + 1) / (total + 1))


def _cut_out(case: Case, lungs: Stage) -> Sample:
    picture = shrink(case.pixels, lungs.input_size)
    mask = find_lungs(picture, lungs)
    part = box_of(mask).slices
    drawn = case.disease if case.has_disease else np.zeros(case.pixels.shape, bool)
    disease = shrink(drawn.astype(np.uint8) * 255, lungs.input_size)
    return Sample((picture * mask)[part], np.where(mask & (disease > 127), 255, 0).astype(np.uint8)[part])


def _part(rng: np.random.Generator, picture: Pixels) -> tuple[slice, slice]:
    share = rng.uniform(0.7, 0.9)
    places = []
    for side in picture.shape:
        length = max(round(share * side), 1)
        first = int(rng.integers(side - length + 1))
        places.append(slice(first, first + length))
    return places[0], places[1]


def _rotated(picture: Pixels, angle: float, interpolation: int) -> Pixels:
    height, width = picture.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    turned = cv2.warpAffine(picture, turn, (width, height), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)
