"""What is known about each radiograph's disease, in the form that stage II is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.anatomy.lungs import Box, MaskView, separate_lungs
from models.anatomy.placement import Placement
from models.pack import Case
from models.pixels import Pixels
from models.runtime.stage import Stage
from models.training.crops import find_lungs, shrink

KINDS: Final = ("masked", "shares", "child", "adult", "other", "boxes", "unscored")
"""With a disease mask; with zone shares only; normal children; normal adults; without opacity, whatever else they show;
with boxes round opacities; COVID-19 with nothing more known."""

_SURE, _UNSURE = 1.0, 0.5
"""Weights of labels that a reader gave, and of those that follow from a report, a test or a network's shares."""
_POSITIVE_SHARE: Final = 0.9
"""The part of COVID-19 radiographs without a score that shows disease: some were taken before it could be seen."""
_AFFECTED_SHARE: Final = 0.3
"""Diseased share of a zone from which the published networks call it affected."""


@dataclass(frozen=True, eq=False)
class Example:
    """A radiograph as a square, with what is known about its disease.

    Attributes:
        picture: uint8 [S, S], gray.
        lungs: uint8 [S, S], 0 or 255, as stage I finds them.
        zones: uint8 [S, S], 0 outside the lungs, 1..6 the zones in the reference's order.
        disease: uint8 [S, S], 0 or 255, as drawn; None where nobody drew it.
        boxes: uint8 [S, S], 0 outside the boxes drawn round opacities, else the box's number; None without boxes.
        shares: float32 [6], the zones' diseased shares in the reference's order; NaN where not known.
        score: 0..6; NaN where not known.
        label: how probable disease is, 0..1.
        label_weight: of the label's loss.
        is_healthy: a radiologist called it normal.
        is_without_opacity: it may show something else, but most of the lungs is free of disease.
    """

    picture: Pixels
    lungs: Pixels
    zones: Pixels
    disease: Pixels | None
    boxes: Pixels | None
    shares: NDArray[np.float32]
    score: float
    label: float
    label_weight: float
    is_healthy: bool
    is_without_opacity: bool


def sort_by_kind(cases: Sequence[Case], lungs: Stage, side: int) -> dict[str, list[Example]]:
    """The cases' radiographs at ``side`` x ``side`` by their kind, without those whose two lungs stage I does not find.

    Empty kinds are left out.
    """
    kinds: dict[str, list[Example]] = {kind: [] for kind in KINDS}
    for case in cases:
        kind = kind_of(case)
        radiograph = _prepare(case, lungs, side) if kind else None
        if kind and radiograph:
            kinds[kind].append(radiograph)
    return {kind: radiographs for kind, radiographs in kinds.items() if radiographs}


def kind_of(case: Case) -> str | None:
    """One of ``KINDS``; None if nothing is known about the case's disease."""
    if case.has_disease:
        return "masked"
    if case.is_normal:
        return "adult" if case.is_adult_normal else "child"
    if case.is_without_opacity:
        return "other"
    if case.boxes:
        return "boxes"
    if case.shares is not None:
        return "shares"
    return "unscored" if case.label == "COVID-19" else None


def _prepare(case: Case, lungs: Stage, side: int) -> Example | None:
    size = lungs.input_size
    mask = find_lungs(shrink(case.pixels, size), lungs)
    view = MaskView(Box(0, 0, size, size), size)
    pair = separate_lungs(mask, "robust", view)
    if pair.left is None or pair.right is None:
        return None
    label, weight = _label(case)
    return Example(
        picture=shrink(case.pixels, side),
        lungs=shrink(mask.astype(np.uint8) * 255, side),
        zones=Placement(side, side, view, grid=size).zones(pair),
        disease=shrink(case.disease.astype(np.uint8) * 255, side) if case.has_disease else None,
        boxes=_numbered_boxes(case, side) if case.boxes else None,
        shares=_target_shares(case),
        score=0.0 if case.is_normal else nan if case.score is None else case.score,
        label=label,
        label_weight=weight,
        is_healthy=case.is_normal,
        is_without_opacity=case.is_without_opacity,
    )


def _target_shares(case: Case) -> NDArray[np.float32]:
    if case.is_normal:
        return np.zeros(6, np.float32)
    if case.has_disease or case.shares is None:
        return np.full(6, nan, np.float32)
    return np.array(case.shares, np.float32)


def _label(case: Case) -> tuple[float, float]:
    """How probable disease is, and the weight of this label."""
    if case.has_disease:
        return float(case.disease.any()), _SURE
    if case.is_normal:
        return 0.0, _SURE
    if case.score is not None:
        return min(case.score, 1.0), _SURE
    if case.is_pneumonia:
        return 1.0, _SURE
    if case.is_without_opacity:
        return 0.0, _UNSURE
    if case.shares is not None:
        return min(max(case.shares) / _AFFECTED_SHARE, 1.0), _UNSURE
    return _POSITIVE_SHARE, _UNSURE


def _numbered_boxes(case: Case, side: int) -> Pixels:
    height, width = case.pixels.shape
    numbered = np.zeros((side, side), np.uint8)
    for number, (left, top, box_width, box_height) in enumerate(case.boxes, start=1):
        rows = slice(round(top * side / height), round((top + box_height) * side / height))
        columns = slice(round(left * side / width), round((left + box_width) * side / width))
        numbered[rows, columns] = number
    return numbered
