"""Right and wrong pictures, as the rule of ``models.quality`` sees them: for fitting it and for judging it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from models.analysis import Cropped, Polarity
from models.pack import Case, picture_files, read_gray
from models.pixels import Pixels
from models.quality import ROTATED
from models.quality.codes import NOT_CHEST, NOT_FRONTAL
from models.quality.features import Numbers, shrink
from models.training.doubts.alterations import INVERSION, PARTS, TURNS, exposed
from models.training.doubts.drawings import DRAWN_KINDS, draw_other
from models.workflow import Workflow

Named: TypeAlias = tuple[str, str, Pixels]
"""Kind, name (pictures of one name come from one radiograph or seed), and the picture uint8 [H, W]."""

CHEST: Final = "chest"
EXPOSED: Final = "exposed"
HELD_OUT: Final = ("heads", "abdomens", "scenes", "shoulders", "leaning")
"""Kinds that are never fitted on."""
ALTERED_STEP: Final = 8
"""One in this many radiographs is altered: thousands of right pictures need fewer wrong ones."""
DRAWN_FOR_FITTING: Final = dict.fromkeys(DRAWN_KINDS, 100) | {"legs and arms": 300, "CT slices": 300}
"""How many drawings of each kind; more of those that look most like a chest."""
REAL: Final = "real: "
"""The kinds of pictures that were not drawn by code begin with this."""
WRONG_COPIES: Final = 4
DRAWN_FOR_JUDGING: Final = 40
_JUDGED_SEEDS: Final = 10**6
_BATCH: Final = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture after stage I.

    Attributes:
        gray, lungs: float32 [64, 64], picture and map.
        cropped: the workflow's state before stage II.
    """

    kind: str
    name: str
    gray: Numbers
    lungs: Numbers
    cropped: Cropped


def expected_flag(kind: str) -> str:
    """The code that a kind should get; empty for chests and for inverted ones."""
    if kind in (CHEST, EXPOSED, *INVERSION):
        return ""
    if kind in TURNS:
        return ROTATED
    return NOT_FRONTAL if kind in ("laterals", "sideways", "halves") else NOT_CHEST


def pictures_for_fitting(cases: Sequence[Case]) -> Iterator[Named]:
    """Each radiograph as it is, some in five other ways as well, right and wrong, and drawings."""
    turns, parts = list(TURNS), list(PARTS)
    for case in cases:
        yield CHEST, case.id, case.pixels
    for number, case in enumerate(cases[::ALTERED_STEP]):
        rng = np.random.default_rng([number, 7])
        yield EXPOSED, case.id, exposed(case.pixels, rng)
        base = exposed(case.pixels, rng) if rng.random() < 0.5 else case.pixels
        turn = turns[number % len(turns)]
        yield turn, case.id, TURNS[turn](base, rng)
        yield next(iter(INVERSION)), case.id, np.asarray(255 - base, np.uint8)
        for part in (parts[number % len(parts)], parts[(number // len(parts) + number) % len(parts)]):
            yield part, case.id, PARTS[part](base, rng)
    yield from _drawn(0, DRAWN_FOR_FITTING)


def pictures_for_judging(cases: Sequence[Case]) -> Iterator[Named]:
    """Each radiograph in every way, and drawings that were not fitted on."""
    for number, case in enumerate(cases):
        rng = np.random.default_rng([number, 7])
        yield CHEST, case.id, case.pixels
        yield EXPOSED, case.id, exposed(case.pixels, rng)
        for kind, alter in (TURNS | INVERSION | PARTS).items():
            yield kind, case.id, alter(case.pixels, rng)
    yield from _drawn(_JUDGED_SEEDS, dict.fromkeys(DRAWN_KINDS, DRAWN_FOR_JUDGING))


def pictures_of(folder: Path, without: Collection[str] = ()) -> Iterator[Named]:
    """The pictures of a folder, each of the kind that its name begins with: ``real: limb`` of ``limb007.jpg``.

    Args:
        without: names of pictures to leave out, such as chest radiographs that came among the limbs.

    Raises:
        PackError: there is none, or one cannot be read.
    """
    for path in picture_files(folder):
        if path.stem in without:
            continue
        yield REAL + path.stem.rstrip("0123456789-_ "), path.stem, read_gray(path)


def wrong_for_fitting(folder: Path, without: Collection[str] = ()) -> Iterator[Named]:
    """The pictures of a folder, no frontal chests, each as it is and with other exposures and turns."""
    for number, (kind, name, picture) in enumerate(pictures_of(folder, without)):
        rng = np.random.default_rng([number, 11])
        yield kind, name, picture
        for _ in range(WRONG_COPIES):
            yield f"{kind}, altered", name, exposed(np.rot90(picture, int(rng.integers(4))), rng)


def _drawn(first: int, counts: Mapping[str, int]) -> Iterator[Named]:
    for kind, count in counts.items():
        for seed in range(first, first + count):
            yield kind, str(seed), draw_other(kind, seed)


def observe(workflow: Workflow, pictures: Iterable[Named], polarity: Polarity = "as_is") -> Iterator[Sample]:
    """Runs the workflow over pictures, up to stage II."""
    batch: list[Named] = []
    for named in pictures:
        batch.append(named)
        if len(batch) == _BATCH:
            yield from _observed(workflow, batch, polarity)
            batch.clear()
    yield from _observed(workflow, batch, polarity)


def _observed(workflow: Workflow, batch: Sequence[Named], polarity: Polarity) -> Iterator[Sample]:
    if not batch:
        return
    prepared = [workflow.prepare(np.ascontiguousarray(picture), polarity=polarity) for _, _, picture in batch]
    maps, _ = workflow.lungs.run([item.picture for item in prepared])
    for (kind, name, _), item, lung_map in zip(batch, prepared, maps, strict=True):
        cropped = workflow.crop_lungs(item, lung_map)
        yield Sample(kind, name, shrink(item.picture), shrink(lung_map), cropped)
