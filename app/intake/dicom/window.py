"""Window centre and width (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from app.intake.dicom.values import read_number, read_values

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """The range of values to show.

    Attributes:
        function: VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID.
    """

    centre: float
    width: float
    function: str

    def of(self, values: Values) -> Values:
        """Maps modality ``values`` to 0..1."""
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(-4 * (values - self.centre) / self.width))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width == 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


def read_window(dataset: Dataset) -> Window | None:
    """The first window of ``dataset`` with a width that its function allows; None without one."""
    function = str(dataset.get("VOILUTFunction", "")).strip()
    if function not in ("SIGMOID", "LINEAR_EXACT"):
        function = "LINEAR"
    for values in zip(*(read_values(dataset.get(name)) for name in ("WindowCenter", "WindowWidth")), strict=False):
        centre, width = (read_number(value) for value in values)
        if centre is not None and width is not None and width > 0 and (function != "LINEAR" or width >= 1):
            return Window(centre, width, function)
    return None
