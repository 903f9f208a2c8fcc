"""Cleaning the lung mask, telling the two lungs apart and cutting each into three zones of equal area.

The rules are those of the published code of Danilov et al. (Sci Rep 12:12791). It expects exactly two components; for
other masks there is also the ``robust`` rule.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pixels import Mask

TwoLungRule: TypeAlias = Literal["reference", "robust"]

PUBLISHED_MIN_AREA = 6000
"""Contour area, in pixels at ``PUBLISHED_SIZE`` squared, under which a component is not a lung."""
PUBLISHED_SIZE = 384

_ELLIPSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))

# A component smaller than this part of the largest is a fragment and is left out.
_FRAGMENT_SHARE = 0.1
# Two lungs that touch have at least this width over height, and are narrower where they meet than on either side.
_MERGED_ASPECT = 0.6
_MERGED_NECK = 0.85
_MERGED_SIDE_SHARE = 0.2
_MIDDLE = (0.3, 0.7)


def min_component_area(input_size: int) -> float:
    """The published 6,000 px at 384 x 384, scaled with the area of stage I's input."""
    return PUBLISHED_MIN_AREA * (input_size / PUBLISHED_SIZE) ** 2


def clean_lungs(mask: Mask, min_area: float) -> Mask:
    """Drops components whose contour area is under ``min_area``, opens twice and closes once (5x5 ellipse).

    Args:
        mask: bool [H, W], stage I's map cut at 0.5.
        min_area: pixels.
    """
    cleaned = mask.astype(np.uint8)
    contours, _ = cv2.findContours(cleaned, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        if cv2.contourArea(contour) < min_area:
            cv2.drawContours(cleaned, [contour], -1, 0, cv2.FILLED)
    opened = cv2.morphologyEx(cleaned, cv2.MORPH_OPEN, _ELLIPSE, iterations=2)
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _ELLIPSE)).view(np.bool_)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels, right and bottom excluded."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def lungs_box(mask: Mask) -> Box | None:
    """The smallest box around all components of a bool [H, W] mask; None where it is empty."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return Box(x, y, x + width, y + height) if width else None


@dataclass(frozen=True, slots=True)
class MaskView:
    """Where a mask lies in stage I's picture: a crop stretched to a square no longer tells its shape and place.

    Attributes:
        box: the part of stage I's picture that the mask shows.
        size: side of stage I's picture, pixels.
    """

    box: Box
    size: int

    def column(self, x: float, width: int) -> float:
        """The column of stage I's picture at column ``x`` of a mask ``width`` wide."""
        return self.box.x0 + x * self.box.width / width

    def aspect(self, width: int, height: int, shape: tuple[int, ...]) -> float:
        """Width over height, in stage I's picture, of an area ``width`` x ``height`` in a mask of ``shape``."""
        return (width * self.box.width / shape[1]) / (height * self.box.height / shape[0])


@dataclass(frozen=True, slots=True)
class Lung:
    """One lung and the two rows that cut it into thirds of equal area.

    Attributes:
        mask: bool [H, W].
        middle_top: first row of the middle zone.
        lower_top: first row of the lower zone.
    """

    mask: Mask
    middle_top: int
    lower_top: int

    @property
    def zones(self) -> tuple[slice, slice, slice]:
        """The rows of the lower, middle and upper zone."""
        return slice(self.lower_top, None), slice(self.middle_top, self.lower_top), slice(0, self.middle_top)


@dataclass(frozen=True, slots=True)
class LungPair:
    """The two lungs of one mask; ``left`` is on the image's left, so it is the patient's right lung.

    Attributes:
        left, right: None where that lung was not found.
        merged: the two touched and were cut apart.
    """

    left: Lung | None
    right: Lung | None
    merged: bool = False

    @property
    def found(self) -> int:
        return (self.left is not None) + (self.right is not None)

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """Both lungs together, bool of ``shape``."""
        together = np.zeros(shape, np.bool_)
        for lung in (self.left, self.right):
            if lung is not None:
                together |= lung.mask
        return together


def cut_zones(mask: Mask) -> Lung:
    """Cuts a lung by rows into lower, middle and upper thirds of equal area, as the published code does.

    The published search for the cut is kept, because it may end one row above or below the nearest cut.

    Args:
        mask: bool [H, W].
    """
    height = mask.shape[0]
    below = np.concatenate([[0], np.cumsum(np.count_nonzero(mask, axis=1)[::-1])])
    area = int(below[-1])
    lower, middle = _search(below, area // 3), _search(below, 2 * area // 3)
    return Lung(mask, middle_top=height - middle, lower_top=height - lower)


def _search(below: NDArray[np.int64], wanted: int) -> int:
    """The number of rows from the bottom at which the published bisection stops.

    Args:
        below: int [H + 1], the area in the lowest n rows.
    """
    start, end, rows = 0, len(below) - 1, 0
    while start <= end:
        rows = (start + end) // 2
        if below[rows] <= wanted:
            start = rows + 1
        else:
            end = rows - 1
    return rows


def separate_lungs(mask: Mask, rule: TwoLungRule, view: MaskView) -> LungPair:
    """Tells the two lungs of a mask apart and cuts their zones.

    Args:
        mask: bool [H, W].
        rule: ``reference``: the published code for every mask: the first two components in scan order; a single
            component stands for both lungs. ``robust``: the same for exactly two components; otherwise the two
            largest, or one wide component cut at its narrowest column near the middle, or fewer than two lungs.
        view: where the mask lies in stage I's picture.
    """
    # Not "WithStats": on hundreds of thousands of pixels it takes ten times as long as the labels alone.
    count, found = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    labels = np.asarray(found, np.int32)
    if count == 3 or rule == "reference":
        return _reference_pair(mask, labels, count)
    areas = np.bincount(labels.ravel(), minlength=count)[1:]
    if not len(areas):
        return LungPair(None, None)
    ranked = [1 + int(index) for index in np.argsort(-areas, kind="stable")]
    kept = [labels == label for label in ranked[:2] if areas[label - 1] >= _FRAGMENT_SHARE * areas.max()]
    if len(kept) == 1:
        return _split_wide(kept[0], view)
    left, right = sorted(kept, key=_middle_column)
    return LungPair(cut_zones(left), cut_zones(right))


def _middle_column(component: Mask) -> float:
    """The centroid's x."""
    columns = np.count_nonzero(component, axis=0)
    return float(columns @ np.arange(len(columns)) / columns.sum())


def _reference_pair(mask: Mask, labels: NDArray[np.int32], count: int) -> LungPair:
    # Labels 1 and 2, or the last label: a single component stands for both lungs. Without components the background
    # does, and its zones are empty.
    components = [labels == min(label, count - 1) for label in (1, 2)]
    first, second = (_within_box(mask, component) for component in components)
    # The published code compares whole columns, and takes the second as the left one if they are equal.
    if int(_middle_column(components[0])) < int(_middle_column(components[1])):
        return LungPair(cut_zones(first), cut_zones(second))
    return LungPair(cut_zones(second), cut_zones(first))


def _within_box(mask: Mask, component: Mask) -> Mask:
    """The part of the mask in a component's bounding box, with other components' pixels there, as published."""
    lung = np.zeros_like(mask)
    if box := lungs_box(component):
        lung[box.slices] = mask[box.slices]
    return lung


def _split_wide(mask: Mask, view: MaskView) -> LungPair:
    """Cuts one component into two lungs if it is wide enough for both; else it is the single lung on its side."""
    x, _, width, height = cv2.boundingRect(mask.view(np.uint8))
    columns = np.count_nonzero(mask, axis=0)
    first, last = (x + int(share * width) for share in _MIDDLE)
    neck = first + int(np.argmin(columns[first : last + 1]))
    sides = columns[:neck], columns[neck:]
    narrow = columns[neck] <= _MERGED_NECK * min(side.max(initial=0) for side in sides)
    balanced = min(side.sum() for side in sides) >= _MERGED_SIDE_SHARE * columns.sum()
    if view.aspect(width, height, mask.shape) >= _MERGED_ASPECT and narrow and balanced:
        left, right = mask.copy(), mask.copy()
        left[:, neck:] = False
        right[:, :neck] = False
        return LungPair(cut_zones(left), cut_zones(right), merged=True)
    single = cut_zones(mask)
    on_left = view.column(x + width / 2, mask.shape[1]) < view.size / 2
    return LungPair(single, None) if on_left else LungPair(None, single)
