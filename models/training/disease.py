"""Stage II's batches: masked lung crops of every kind of radiograph, changed at random.

Crops are made by the trained stage I and masked outside the lungs, as at run time.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import cv2
import numpy as np
import torch

from models.anatomy.cropping import own_crop
from models.pack import Case
from models.pixels import Mask
from models.runtime.stage import Stage
from models.training.augmentation import Augmentation, warp
from models.training.crops import box_of
from models.training.fitting import Batch, normalised
from models.training.radiographs import Example, sort_by_kind


class DiseaseBatches:
    """Augmented batches of all kinds of radiograph; the same seed and epoch give the same ones."""

    def __init__(
        self,
        cases: Sequence[Case],
        lungs: Stage,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        count: int,
        seed: int,
        batch: Mapping[str, int],
        own_side: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        """Args:
        cases: those whose two lungs stage I finds are used.
        lungs: the trained stage I.
        size: stage II's input size, pixels.
        mean, std: of each channel, on the 0..1 scale.
        count: batches an epoch.
        batch: radiographs of each kind in a batch; a kind of which the cases have none is left out.
        own_side: crops are cut from the radiograph at this side, which stands for its own pixels; None: from what
            stage I sees.
        """
        self.cases, self.lungs, self.side = cases, lungs, own_side or lungs.input_size
        self.own_pixels, self.outline_step = own_side is not None, self.side / lungs.input_size
        self.size, self.mean, self.std = size, mean, std
        self.count, self.seed, self.batch = count, seed, batch
        self.augmentation = augmentation or Augmentation()

    @cached_property
    def kinds(self) -> dict[str, list[Example]]:
        """The radiographs by their kind; made when first asked for: a run that is over needs none."""
        return sort_by_kind(self.cases, self.lungs, self.side)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, epoch))
        for _ in range(self.count):
            chosen = [
                radiographs[index]
                for kind, radiographs in self.kinds.items()
                for index in rng.choice(len(radiographs), self.batch[kind], replace=len(radiographs) < self.batch[kind])
            ]
            yield _collate([self._augmented(rng, radiograph) for radiograph in chosen], self.mean, self.std)

    def _augmented(self, rng: np.random.Generator, radiograph: Example) -> dict[str, np.ndarray]:
        pose = self.augmentation.pose(rng, radiograph.picture.shape[0])
        lungs = _resized_outline(rng, warp(radiograph.lungs, pose) > 127, self.outline_step)
        box = box_of(lungs)
        rows, columns = box.slices
        exposed = self.augmentation.expose(rng, warp(radiograph.picture, pose))
        zones = warp(radiograph.zones, pose, nearest=True) * lungs
        disease = np.zeros_like(zones) if radiograph.disease is None else warp(radiograph.disease, pose)
        boxes = np.zeros_like(zones) if radiograph.boxes is None else warp(radiograph.boxes, pose, nearest=True)
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
            "masked": np.array(radiograph.disease is not None),
            "boxes": cv2.resize(boxes[rows, columns], size, interpolation=cv2.INTER_NEAREST),
            "boxed": np.array(radiograph.boxes is not None),
            "shares": radiograph.shares,
            "score": np.array(radiograph.score, np.float32),
            "healthy": np.array(radiograph.is_healthy),
            "without_opacity": np.array(radiograph.is_without_opacity),
            "label": np.array(radiograph.label, np.float32),
            "label_weight": np.array(radiograph.label_weight, np.float32),
        }


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
