"""What an upload becomes: the radiograph."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from app.intake.dicom.grayscale import Grayscale
from app.intake.upload import Format


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One decoded radiograph.

    Attributes:
        pixels: uint8 [H, W], gray, C-contiguous, black is 0; may be read-only.
        format: of the upload's content, however it was declared.
        sha256: hex digest of the uploaded bytes.
        source: a DICOM object's header without its pixels, for the reports that refer to it; it names the
            patient, so it is never logged or put into JSON. None for other formats.
        flags: reasons in the header not to trust a score, as codes of ``models.quality``.
        shown: the transformations by which a DICOM object's stored values became ``pixels``.
    """

    pixels: NDArray[np.uint8]
    format: Format
    sha256: str
    source: Dataset | None = field(default=None, repr=False)
    flags: tuple[str, ...] = ()
    shown: Grayscale | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])
