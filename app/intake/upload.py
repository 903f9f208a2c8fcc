"""An upload: its bytes, the formats that it may have, and the limits that it has to keep."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.errors import ImageTooLarge, ImageTooSmall

Format: TypeAlias = Literal["JPEG", "PNG", "TIFF", "BMP", "DICOM"]
Upload: TypeAlias = bytes | bytearray | memoryview


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
