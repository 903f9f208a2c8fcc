"""Window centre and width (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from app.intake.dicom.values import read_number

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are shown, and how.

    Attributes:
        function: VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID.
    """

    centre: float
    width: float
    function: str

    def of(self, values: Values) -> Values:
        """0..1 for each of the modality ``values``."""
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(-4 * (values - self.centre) / self.width))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width == 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


def read_window(dataset: Dataset) -> Window | None:
    """The first window of ``dataset``; None without one, or where its width is none that its function admits."""
    centre, width = read_number(dataset.get("WindowCenter")), read_number(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction", "")).strip()
    if function not in ("SIGMOID", "LINEAR_EXACT"):
        function = "LINEAR"
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return Window(centre, width, function)
