"""Trains a small pair to give a larger pair's maps, on radiographs that nobody has drawn on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.pack import PackError, picture_files, read_gray
from models.pixels import Pixels, ProbabilityMap
from models.runtime.stage import Stage
from models.training.augmentation import Augmentation, warp
from models.training.crops import box_of, find_lungs, shrink
from models.training.fitting import Batch, Schedule, dice_loss, normalised
from models.training.recipes import ARCHITECTURES, BATCH_SIZE, ENCODER, GRAY
from models.training.runs import Run, begin, finish
from models.weights.cards import Role


@dataclass(frozen=True)
class Taught:
    """A radiograph as a stage sees it, uint8 [H, W], and the teacher's probabilities as levels, uint8 [H, W]."""

    picture: Pixels
    map: Pixels


def read_folder(folder: Path) -> list[Pixels]:
    """All pictures of a folder and its subfolders, uint8 [H, W] each, sorted by path.

    Raises:
        PackError: there is none, or one cannot be read.
    """
    return [read_gray(path) for path in picture_files(folder)]


def teach_lungs(teacher: Stage, radiographs: Sequence[Pixels], size: int) -> list[Taught]:
    """Whole radiographs at ``size`` x ``size`` with the teacher's lungs."""
    return [
        Taught(shrink(pixels, size), _levels(teacher.predict([pixels])[0][0], (size, size))) for pixels in radiographs
    ]


def teach_disease(teacher: Stage, lungs: Stage, radiographs: Sequence[Pixels]) -> list[Taught]:
    """Radiographs cut out and masked by ``lungs``, with the teacher's disease; those without lungs are left out.

    Where the teacher's classification head finds no disease, the map is empty.
    """
    found = []
    for pixels in radiographs:
        picture = shrink(pixels, lungs.input_size)
        mask = find_lungs(picture, lungs)
        if not mask.any():
            continue
        seen = (picture * mask)[box_of(mask).slices]
        maps, labels = teacher.predict([seen])
        diseased = maps[0] if labels is None or np.rint(labels[0]) else np.zeros_like(maps[0])
        found.append(Taught(seen, _levels(diseased, seen.shape)))
    return found


class DistilledBatches:
    """Augmented batches of taught radiographs; the same seed and epoch give the same ones."""

    def __init__(
        self,
        taught: Sequence[Taught],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        masked: bool,
        augmentation: Augmentation | None = None,
    ) -> None:
        """Takes the radiographs and how the student sees them.

        Args:
            size: side of the student's input, pixels.
            mean, std: of each channel, on the 0..1 scale.
            masked: black pixels were cut away and stay black when the exposure changes.

        Raises:
            PackError: fewer than two radiographs.
        """
        if len(taught) < 2:
            raise PackError(f"expected at least two radiographs to learn from, found {len(taught)}")
        self.taught, self.size, self.mean, self.std, self.seed = taught, size, mean, std, seed
        self.masked = masked
        self.augmentation = augmentation or Augmentation()

    def __len__(self) -> int:
        """Batches per epoch: each radiograph once, some twice to fill the last batch."""
        return -(-len(self.taught) // BATCH_SIZE)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, epoch))
        order = np.resize(rng.permutation(len(self.taught)), (len(self), BATCH_SIZE))
        for chosen in order:
            yield self._batch(rng, [self.taught[index] for index in chosen])

    def _batch(self, rng: np.random.Generator, taught: Sequence[Taught]) -> Batch:
        pictures, maps = [], []
        for item in taught:
            pose = self.augmentation.pose(rng, self.size)
            picture, levels = (
                np.asarray(cv2.resize(layer, (self.size, self.size), interpolation=cv2.INTER_LINEAR), np.uint8)
                for layer in (item.picture, item.map)
            )
            posed = warp(picture, pose)
            exposed = self.augmentation.expose(rng, posed)
            pictures.append(np.where(posed > 0, exposed, 0) if self.masked else exposed)
            maps.append(warp(levels, pose))
        image = normalised(torch.from_numpy(np.stack(pictures)).float().div_(255), self.mean, self.std)
        return {"image": image, "map": torch.from_numpy(np.stack(maps))[:, None].float().div_(255)}


def distillation_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy and Dice against the teacher's probabilities, both [N, 1, H, W] (after Hinton et al., 2015)."""
    return dice_loss(logits.sigmoid(), batch["map"]) + functional.binary_cross_entropy_with_logits(logits, batch["map"])


def distil(
    role: Role, run: Run, taught: Sequence[Taught], rate: float, threshold: float | None = None, encoder: str = ENCODER
) -> Path:
    """Trains the embedded default's network on a teacher's maps; returns the weights' path.

    Args:
        threshold: the teacher's, for stage II's card, as the student's maps should be the same.
    """
    begun = begin(role, run, ARCHITECTURES[role], encoder, GRAY, GRAY)
    batches = DistilledBatches(taught, run.input_size, begun.mean, begun.std, run.seed, masked=role == "disease")
    schedule = Schedule(run.epochs, len(batches), rate, seed=run.seed)
    return finish(role, run, begun, batches, distillation_loss, schedule, threshold=threshold)


def _levels(probabilities: ProbabilityMap, shape: tuple[int, ...]) -> Pixels:
    height, width = shape
    resized = cv2.resize(probabilities, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(resized * 255), np.uint8)
