"""From the square grid on which lungs and disease are compared back to the radiograph's own pixels."""

from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np

from models.lungs import LungPair, MaskView
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
        """A mask bool [grid, grid] as bool [H, W], its edge smooth at any size."""
        placed = np.zeros((self.height, self.width), np.bool_)
        (top, y_step), (left, x_step) = self._rows, self._columns
        y0, x0 = max(floor(top), 0), max(floor(left), 0)
        y1 = min(ceil(top + self.grid / y_step), self.height)
        x1 = min(ceil(left + self.grid / x_step), self.width)
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
        np.greater(levels, 127, out=placed[y0:y1, x0:x1])
        return placed

    def zones(self, lungs: LungPair) -> Pixels:
        """uint8 [H, W]: 0 outside the lungs, 1..6 the zones in the reference's order (image-left lower first)."""
        labels = np.zeros((self.height, self.width), np.uint8)
        for first, lung in ((1, lungs.left), (4, lungs.right)):
            if lung is None:
                continue
            placed = self.mask(lung.mask)
            lower, middle = self._row(lung.lower_top), self._row(lung.middle_top)
            for label, rows in enumerate((slice(lower, None), slice(middle, lower), slice(0, middle)), start=first):
                labels[rows][placed[rows]] = label
        return labels

    def _row(self, row: int) -> int:
        """The radiograph's row at which the grid's row begins."""
        top, step = self._rows
        return round(top + row / step)

    @property
    def _rows(self) -> tuple[float, float]:
        """The grid's top in the radiograph's rows, and grid rows a radiograph's row."""
        box, size = self.view.box, self.view.size
        return box.y0 * self.height / size, self.grid / (box.height * self.height / size)

    @property
    def _columns(self) -> tuple[float, float]:
        box, size = self.view.box, self.view.size
        return box.x0 * self.width / size, self.grid / (box.width * self.width / size)
