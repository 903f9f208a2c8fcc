"""Masks that are given, where the product's are placed from a grid."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.pixels import Mask, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class GivenMasks:
    """``models.anatomy.placement.FoundMasks`` of any content."""

    lungs: Mask
    disease: Mask
    zones: Pixels

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.zones.shape
        return height, width

    def at(self, height: int, width: int) -> "GivenMasks":
        def resized(values: Pixels) -> Pixels:
            return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)

        lungs, disease = (resized(mask.view(np.uint8)).view(np.bool_) for mask in (self.lungs, self.disease))
        return GivenMasks(lungs, disease, resized(self.zones))
