"""Limits on the work that a hostile file can cause in Pillow, where Pillow itself has none."""

import io
from typing import Final

from PIL import Image, ImageFile, TiffImagePlugin

from app.errors import ImageTooLarge, UnreadableImage
from app.intake.upload import Limits

HEADER_READS: Final = 10_000
HEADER_BYTES: Final = 4 * 1024 * 1024
_TYPICAL_READ: Final = 4096
_MAX_JPEG_SCANS: Final = 256
_MAX_SCANNED_PIXELS: Final = 1_000_000_000


class MeteredFile(io.BytesIO):
    """A file in memory that allows a limited number of reads and bytes.

    Pillow parses headers in Python and keeps what it parses. A megabyte of tiny JPEG segments or TIFF directory entries
    costs a hundred megabytes of memory and holds the interpreter lock for seconds. Each of them takes a read.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)
        self.allow(HEADER_READS, HEADER_BYTES)

    def allow(self, reads: int, size: int) -> None:
        """Restarts the count: allows ``reads`` calls and ``size`` bytes from now on."""
        self._reads, self._bytes = reads, size

    def allow_pixels(self, tiles: int) -> None:
        """Restarts the count for decoding a picture stored in ``tiles`` pieces."""
        # Each piece takes one or two reads, and Pillow may read one block past its end.
        self.allow(
            HEADER_READS + 2 * tiles + self._size // _TYPICAL_READ,
            HEADER_BYTES + 2 * self._size + 65_536 * tiles,
        )

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads as BytesIO does; raises OSError once the limit is exceeded."""
        piece = super().read(size)
        self._reads -= 1
        self._bytes -= len(piece)
        if self._reads < 0 or self._bytes < 0:
            raise OSError("too many or too large pieces of metadata")
        return piece


def check_structure(image: ImageFile.ImageFile, data: bytes, limits: Limits) -> None:
    """Refuses an opened picture whose decoding would be unbounded or incomplete, judged by its structure.

    Raises:
        ImageTooLarge: a TIFF whose tiles are larger than any picture may be.
        UnreadableImage: several pages, missing strips or tiles, or a JPEG with implausibly many scans.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, limits)
    elif image.format in ("JPEG", "MPO"):
        scans = data.count(b"\xff\xda")
        if scans > min(_MAX_JPEG_SCANS, _MAX_SCANNED_PIXELS // (image.width * image.height)):
            raise UnreadableImage("The JPEG has more scans than any radiograph of its size")


def _check_tiff(image: TiffImagePlugin.TiffImageFile, limits: Limits) -> None:
    """Raises as ``check_structure``."""
    if image.is_animated:
        raise UnreadableImage("The TIFF has several pages; send the radiograph's page alone")
    width = image.tag_v2.get(TiffImagePlugin.TILEWIDTH, 0)
    height = image.tag_v2.get(TiffImagePlugin.TILELENGTH, 0)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise UnreadableImage("The TIFF declares tiles of no usable size")
    if width * height > max(limits.max_pixels, limits.max_side):
        raise ImageTooLarge("The TIFF's tiles are larger than a picture may be")
    if _covered(image) < image.width * image.height * _layers(image):
        raise UnreadableImage("The TIFF lacks a part of its pixels")


def _layers(image: TiffImagePlugin.TiffImageFile) -> int:
    """How often the strips or tiles have to fill the picture: once per channel where channels are stored apart."""
    is_planar = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2
    return len(image.getbands()) if is_planar and not image.use_load_libtiff else 1


def _covered(image: Image.Image) -> int:
    """Number of pixels that the strips or tiles fill; missing ones would silently stay black."""
    extents = [tile.extents for tile in getattr(image, "tile", ())]
    return sum((right - left) * (lower - upper) for left, upper, right, lower in filter(None, extents))
