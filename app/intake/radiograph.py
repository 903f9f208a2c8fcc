"""The decoded radiograph, and the limits on an upload."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from app.errors import ImageTooLarge, ImageTooSmall

if TYPE_CHECKING:
    from app.intake.dicom.grayscale import Grayscale

Format = Literal["JPEG", "PNG", "TIFF", "BMP", "DICOM"]
Upload = bytes | bytearray | memoryview


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
    shown: "Grayscale | None" = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the size of one upload.

    Attributes:
        max_upload_bytes: bytes of the file, or of all parts of a form together.
        max_pixels: largest width times height.
        min_side: smallest width or height in which anything can be seen.
        max_side: largest width or height.
    """

    max_upload_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 50_000_000
    min_side: int = 64
    max_side: int = 16_384

    def check_size(self, width: int, height: int) -> None:
        """Refuses a picture by the size that its header declares, before its pixels are decoded.

        Raises:
            ImageTooLarge: more pixels, or a longer side, than allowed.
            ImageTooSmall: a side shorter than ``min_side``.
        """
        if min(width, height) < self.min_side:
            raise ImageTooSmall(f"{width} x {height} pixels; each side needs {self.min_side} at least")
        if max(width, height) > self.max_side:
            raise ImageTooLarge(f"{width} x {height} pixels; a side may have {self.max_side} at most")
        if width * height > self.max_pixels:
            raise ImageTooLarge(f"{width} x {height} pixels; a picture may have {self.max_pixels} at most")

    def check_deep_colour(self, width: int, height: int) -> None:
        """Refuses a picture of 16-bit colour with more than half of ``max_pixels``: its pixels take twice the bytes.

        Both Pillow and OpenCV decode such a picture.

        Raises:
            ImageTooLarge: more pixels than that.
        """
        if 2 * width * height > self.max_pixels:
            raise ImageTooLarge(
                f"{width} x {height} pixels; a picture of 16-bit colour may have {self.max_pixels // 2} at most"
            )
