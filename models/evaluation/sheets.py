"""Contact sheets: what one pair of weights, or two side by side, marks on radiographs of each kind."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from models.analysis import Analysis
from models.evaluation import groups
from models.pack import Case, Pack, PackError, Rectangle
from models.pixels import Mask, Pixels
from models.runtime.stage import Stage
from models.workflow import Workflow

Colour: TypeAlias = tuple[int, int, int]
Load: TypeAlias = Callable[[argparse.Namespace, float | None], Workflow]
"""From options, which name weights, and a threshold in place of the card's to a workflow."""

SIDE: Final = 256
"""Longest side of a radiograph on a sheet, pixels."""
MOST: Final = 200
"""Most radiographs per sheet: a JPEG ends at 65,535 rows."""
CYAN: Final[Colour] = (255, 255, 0)  # blue, green, red
RED: Final[Colour] = (60, 60, 255)
YELLOW: Final[Colour] = (0, 230, 255)

_GROUND: Final[Colour] = (40, 40, 40)
_INK: Final[Colour] = (235, 235, 235)
_TINT: Final = 0.35
_GAP: Final = 10
_BETWEEN: Final = 24
"""Extra gap between two cases, so that nobody takes one's pictures for the other's."""
_LINE: Final = 17
"""From one line of text to the next, pixels."""
_LETTERS: Final = 34
"""Letters per line under a picture."""
_PICTURES: Final = 8
"""Side by side on a sheet, at most: a case has two or three."""
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE: Final = 0.42
# Thin coloured lines fade if colour is stored at half the resolution.
_JPEG: Final = (
    cv2.IMWRITE_JPEG_QUALITY,
    90,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)


@dataclass(frozen=True)
class Group:
    """A kind of radiograph that has a sheet of its own.

    Attributes:
        name: of the sheet's file.
        title: over the sheet.
        keep: which radiographs are of this kind.
        scored_first: those with a readers' score are taken before the others.
    """

    name: str
    title: str
    keep: Callable[[Case], bool]
    scored_first: bool = False


GROUPS: Final = (
    Group("healthy-adults", "Healthy adults", groups.GROUPS[groups.HEALTHY_ADULTS]),
    Group("bedside-without-opacity", "Bedside radiographs (AP) without opacity", groups.GROUPS[groups.BEDSIDE]),
    Group("opacities", "Opacities, with boxes that radiologists drew", groups.GROUPS[groups.OPACITIES]),
    Group("covid-19", "COVID-19", lambda case: case.label == "COVID-19", scored_first=True),
    Group("children", "Healthy children", groups.GROUPS[groups.CHILDREN]),
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds what ``run`` reads, apart from the first pair of weights and the device."""
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders of the radiograph packs")
    command.add_argument("--out", type=Path, required=True, help="folder for the sheets; they show radiographs")
    command.add_argument("--split", default="val", help="split of the packs' tables; all: every radiograph")
    command.add_argument("--count", type=_count, default=40, help=f"radiographs per sheet, at most {MOST}")
    command.add_argument("--other-lungs", type=Path, help="stage I of a second pair, if not the first pair's")
    command.add_argument("--other-disease", type=Path, help="stage II of a second pair, if not the first pair's")
    command.add_argument("--threshold", type=float, help="instead of the cards'")
    command.add_argument("--seed", type=int, default=0, help="seed of the random choice")


def run(options: argparse.Namespace, load: Load) -> int:
    """Writes a sheet for each group that has radiographs, and names the groups that have none.

    Returns:
        The exit status.

    Raises:
        PackError: no group has radiographs, or a pack cannot be read.
    """
    cases = Pack(*options.data).split(options.split)
    chosen = {group: choose(group, cases, options.count, options.seed) for group in GROUPS}
    if not any(chosen.values()):
        folders = ", ".join(map(str, options.data))
        raise PackError(f"{folders}: expected radiographs of the split {options.split!r}, found none for any sheet")
    pairs = _pairs(options, load)
    options.out.mkdir(parents=True, exist_ok=True)
    for group, drawn in chosen.items():
        if not drawn:
            sys.stderr.write(f"{group.name}: no radiographs of the split {options.split!r}, no sheet\n")
            continue
        file = options.out / f"{group.name}.jpg"
        known = sum(map(group.keep, cases))
        title = f"{group.title}: {len(drawn)} of {known}, split {options.split}, seed {options.seed}"
        file.write_bytes(_coded(draw_sheet(title, drawn, pairs)))
        sys.stdout.write(f"{file}\n")
    return 0


def choose(group: Group, cases: Iterable[Case], count: int, seed: int) -> list[Case]:
    """Draws a group's radiographs without repeats: the same ones in the same order for the same seed.

    Returns:
        ``count`` of them, or all where there are fewer. A smaller count gives the first of a larger one's.
    """
    found = sorted(filter(group.keep, cases), key=lambda case: case.id)
    order = np.random.default_rng(seed).permutation(len(found))
    drawn = [found[index] for index in order]
    if group.scored_first:
        drawn.sort(key=lambda case: case.score is None)
    return drawn[:count]


def draw_sheet(title: str, cases: Sequence[Case], pairs: Sequence[Workflow]) -> Pixels:
    """The radiographs, each plain and then as each pair of weights marks it, captions below.

    Returns:
        uint8 [H, W, 3], BGR; W is the same for any number of radiographs.
    """
    across = _PICTURES // (1 + len(pairs))
    cells = [_cell(case, [pair.analyse(case.pixels) for pair in pairs]) for case in cases]
    rows = [_beside(cells[first : first + across]) for first in range(0, len(cells), across)]
    width = across * ((1 + len(pairs)) * (SIDE + _GAP) + _BETWEEN)
    return _below([_text(_heading(title, pairs), width), *rows], width)


def overlay(case: Case, analysis: Analysis) -> Pixels:
    """The radiograph with what was found on it, and with the boxes that people drew.

    Args:
        analysis: of that radiograph; masks bool [H, W] in its own pixels.

    Returns:
        uint8 [h, w, 3], BGR, the longer side ``SIDE`` pixels: cyan the lungs' outline, red the disease, yellow the
        boxes.
    """
    picture = plain(case)
    disease = _fitted_mask(analysis.disease)
    picture[disease] = np.rint((1 - _TINT) * picture[disease] + _TINT * np.array(RED)).astype(np.uint8)
    lungs = _fitted_mask(analysis.lungs).view(np.uint8)
    contours, _ = cv2.findContours(lungs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, CYAN, 1)
    for box in case.boxes:
        _draw_box(picture, box, case.pixels.shape)
    return picture


def plain(case: Case) -> Pixels:
    """The radiograph alone, uint8 [h, w, 3], the longer side ``SIDE`` pixels."""
    return np.asarray(cv2.cvtColor(_fitted(case.pixels), cv2.COLOR_GRAY2BGR), np.uint8)


def caption(case: Case) -> list[str]:
    """Lines on the radiograph itself: its id, and what readers scored it where that is known."""
    if case.score is None:
        return [case.id]
    readers = f" ({' and '.join(f'{score:g}' for score in case.readers)})" if case.readers else ""
    return [case.id, f"readers {case.score:g}{readers}"]


def said(analysis: Analysis) -> list[str]:
    """Lines on what a pair of weights found: score, shares in per cent, the head's probability, flags.

    Shares are in the picture's order: the patient's right lung from top to bottom, then the left.
    """
    score = "-" if analysis.score is None else str(analysis.score)
    label = "" if analysis.disease_probability is None else f"   P(disease) {analysis.disease_probability:.2f}"
    shares = analysis.by_zone
    lungs = (
        "/".join(_percent(shares[f"{side}_{level}"]) for level in ("upper", "middle", "lower"))
        for side in ("right", "left")
    )
    numbers = [f"score {score}{label}", "R {}   L {} %".format(*lungs)]
    return numbers + textwrap.wrap(", ".join(analysis.flags), _LETTERS)


def _percent(share: float) -> str:
    return "-" if isnan(share) else f"{100 * share:.0f}"


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MOST:
        raise argparse.ArgumentTypeError(f"expected 1 to {MOST} radiographs, found {count}")
    return count


def _pairs(options: argparse.Namespace, load: Load) -> list[Workflow]:
    """One workflow, or two where the options name other weights."""
    pairs = [load(options, options.threshold)]
    if options.other_lungs or options.other_disease:
        others = {"lungs": options.other_lungs, "disease": options.other_disease}
        named = {role: file for role, file in others.items() if file}
        pairs.append(load(argparse.Namespace(**{**vars(options), **named}), options.threshold))
    return pairs


def _heading(title: str, pairs: Sequence[Workflow]) -> list[str]:
    names = ("first pair", "second pair")
    weights = [
        f"{name}: {_describe(pair.lungs)}, {_describe(pair.disease)}, threshold {pair.threshold:g}"
        for name, pair in zip(names, pairs, strict=False)
    ]
    shares = "R, L: diseased share of the patient's right and left lung in per cent, from top to bottom"
    return [f"{title}   (research use only)", *weights, shares]


def _describe(stage: Stage) -> str:
    """The card's name and the start of its checksum, by which two versions are told apart."""
    return f"{stage.card.name} {(stage.card.sha256 or '')[:8]}".rstrip() if stage.card else "a network without a card"


def _cell(case: Case, analyses: Sequence[Analysis]) -> Pixels:
    """uint8 [h, w, 3]: one radiograph's pictures side by side, each with its caption."""
    marked = [_captioned(overlay(case, analysis), said(analysis)) for analysis in analyses]
    return _beside([_captioned(plain(case), caption(case)), *marked, _blank(1, _BETWEEN)])


def _captioned(picture: Pixels, lines: Sequence[str]) -> Pixels:
    """uint8 [h, SIDE + gap, 3]: a picture in the middle of its square, text below."""
    square = _blank(SIDE + _GAP, SIDE + _GAP)
    height, width = picture.shape[:2]
    top, left = _GAP + (SIDE - height) // 2, _GAP + (SIDE - width) // 2
    square[top : top + height, left : left + width] = picture
    return _below([square, _text(lines, SIDE + _GAP)], SIDE + _GAP)


def _text(lines: Sequence[str], width: int) -> Pixels:
    """uint8 [h, width, 3]: one line below the other."""
    picture = _blank(_LINE * len(lines) + _GAP // 2, width)
    for place, line in enumerate(lines, start=1):
        # The font has only ASCII letters.
        known = line.encode("ascii", "replace").decode()
        cv2.putText(picture, known, (_GAP, _LINE * place - 2), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return picture


def _beside(pictures: Sequence[Pixels]) -> Pixels:
    """Side by side on one background, their tops in line."""
    height = max(len(picture) for picture in pictures)
    return np.hstack([np.vstack([one, _blank(height - len(one), one.shape[1])]) for one in pictures])


def _below(pictures: Sequence[Pixels], width: int) -> Pixels:
    """One below the other on one background ``width`` pixels wide, their left edges in line."""
    return np.vstack([np.hstack([one, _blank(len(one), width - one.shape[1])]) for one in pictures])


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), _GROUND, np.uint8)


def _draw_box(picture: Pixels, box: Rectangle, shape: tuple[int, ...]) -> None:
    """Draws a box in place, scaled from a radiograph of ``shape`` (H, W) to the picture's size."""
    left, top, width, height = box
    down, along = picture.shape[0] / shape[0], picture.shape[1] / shape[1]
    first = (round(left * along), round(top * down))
    last = (round((left + width) * along) - 1, round((top + height) * down) - 1)
    cv2.rectangle(picture, first, last, YELLOW, 1)


def _fitted(pixels: Pixels) -> Pixels:
    """uint8 [H, W] with its longer side ``SIDE``, its aspect kept."""
    height, width = pixels.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def _fitted_mask(mask: Mask) -> Mask:
    """Bool [H, W] as ``_fitted`` brings its radiograph to size."""
    return np.asarray(_fitted(mask.astype(np.uint8) * np.uint8(255)) > 127)


def _coded(sheet: Pixels) -> bytes:
    done, coded = cv2.imencode(".jpg", sheet, _JPEG)
    if not done:
        raise RuntimeError("the sheet could not be encoded as JPEG")
    return coded.tobytes()
