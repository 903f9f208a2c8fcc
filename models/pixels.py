"""The array types that pass between the parts of the workflow."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]
ProbabilityMap: TypeAlias = NDArray[np.float32]
