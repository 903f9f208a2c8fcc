"""Brings masks from the square grid, on which lungs and disease are compared, to the radiograph's own pixels."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor
from typing import Protocol

import cv2
import numpy as np

from models.anatomy.lungs import LungPair, MaskView
from models.pixels import Mask, Pixels


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a mask's grid lies in a radiograph.

    Attributes:
        height, width: of the radiograph, pixels.
        view: the part of stage I's picture that the grid shows.
        grid: side of the grid.
    """

    height: int
    width: int
    view: MaskView
    grid: int

    def mask(self, mask: Mask) -> Mask:
        """Enlarges a mask bool [grid, grid] to bool [H, W], with smooth edges at any size."""
        placed = np.zeros((self.height, self.width), np.bool_)
        part, inside = self._enlarged(mask)
        placed[part] = inside
        return placed

    def zones(self, lungs: LungPair) -> Pixels:
        """uint8 [H, W]: 0 outside the lungs, 1..6 the zones in the reference's order (image-left lower first)."""
        labels = np.zeros((self.height, self.width), np.uint8)
        for first, lung in ((1, lungs.left), (4, lungs.right)):
            if lung is None:
                continue
            part, inside = self._enlarged(lung.mask)
            lower, middle = (self._row(row) - part[0].start for row in (lung.lower_top, lung.middle_top))
            weights = inside.view(np.uint8)
            for label, rows in enumerate((slice(lower, None), slice(middle, lower), slice(0, middle)), start=first):
                weights[rows] *= np.uint8(label)
            # Where the published rule gives a pixel to both lungs, the image-right one gets it.
            np.maximum(labels[part], weights, out=labels[part])
        return labels

    def _enlarged(self, mask: Mask) -> tuple[tuple[slice, slice], Mask]:
        """The part of the radiograph that a grid mask can reach, and the mask there."""
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        (top, y_step), (left, x_step) = self._rows, self._columns
        # One more grid pixel on each side, because the edge lies between the mask's last pixel and the next.
        y0, y1 = max(floor(top + (y - 1) / y_step), 0), min(ceil(top + (y + height + 1) / y_step), self.height)
        x0, x1 = max(floor(left + (x - 1) / x_step), 0), min(ceil(left + (x + width + 1) / x_step), self.width)
        # Pixel centres lie at half a pixel, on the grid and in the radiograph alike.
        to_grid = np.array(
            [
                [x_step, 0, (x0 + 0.5 - left) * x_step - 0.5],
                [0, y_step, (y0 + 0.5 - top) * y_step - 0.5],
            ]
        )
        levels = cv2.warpAffine(
            mask.view(np.uint8) * np.uint8(255),
            to_grid,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        return (slice(y0, y1), slice(x0, x1)), np.greater(levels, 127)

    def _row(self, row: int) -> int:
        """The radiograph's row at which the grid's row begins."""
        top, step = self._rows
        return round(top + row / step)

    @property
    def _rows(self) -> tuple[float, float]:
        """The grid's top in the radiograph's rows, and grid rows per row of the radiograph."""
        box, size = self.view.box, self.view.size
        return box.y0 * self.height / size, self.grid / (box.height * self.height / size)

    @property
    def _columns(self) -> tuple[float, float]:
        box, size = self.view.box, self.view.size
        return box.x0 * self.width / size, self.grid / (box.width * self.width / size)


class FoundMasks(Protocol):
    """The masks of one radiograph, in its own pixels [H, W]."""

    @property
    def shape(self) -> tuple[int, int]:
        """H and W."""

    def at(self, height: int, width: int) -> "FoundMasks":
        """The same masks for the radiograph at another size."""

    @property
    def lungs(self) -> Mask:
        """Bool."""

    @property
    def disease(self) -> Mask:
        """Bool, within the lungs."""

    @property
    def zones(self) -> Pixels:
        """uint8: 0 outside the lungs, 1..6 the zones in the reference's order."""


@dataclass(eq=False)
class PlacedMasks:
    """Masks on the grid, brought to the radiograph's pixels only when first asked for: a score needs none.

    Attributes:
        pair: the two lungs on the grid.
        grid_lungs: bool [grid, grid], everything marked as lung; None if that is just the pair.
        grid_disease: bool [grid, grid].
    """

    placement: Placement
    pair: LungPair
    grid_lungs: Mask | None
    grid_disease: Mask

    @property
    def shape(self) -> tuple[int, int]:
        """H and W."""
        return self.placement.height, self.placement.width

    def at(self, height: int, width: int) -> "PlacedMasks":
        """The same masks for the radiograph at another size."""
        if (height, width) == self.shape:
            return self
        return replace(self, placement=replace(self.placement, height=height, width=width))

    @cached_property
    def lungs(self) -> Mask:
        """Bool [H, W]."""
        if self.grid_lungs is not None:
            return self.placement.mask(self.grid_lungs)
        return np.not_equal(self.zones, 0)

    @cached_property
    def disease(self) -> Mask:
        """Bool [H, W], within the lungs."""
        return np.logical_and(self.placement.mask(self.grid_disease), self.lungs)

    @cached_property
    def zones(self) -> Pixels:
        """uint8 [H, W]."""
        return self.placement.zones(self.pair)
