"""JPEG, PNG, TIFF and BMP → 8-bit gray pixels.

Pillow reads all headers, and all pixels except those of JPEG, where it fills in damaged parts. OpenCV uses the same
codecs, is at most a tenth faster, and writes to stderr about damaged files. So it decodes only the two things that
Pillow does badly: colour of 16 bits a channel, which Pillow cuts to the high bytes, and run-length BMP, which Pillow
decodes in Python.
"""

import logging
import struct
import warnings
import zlib
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from app.errors import ImageTooLarge, UnreadableImage
from app.intake import png
from app.intake.gray import Gray, gray_of_8_bit, gray_of_16_bit_colour, scaled, upright
from app.intake.guards import MeteredFile, check_structure
from app.intake.jpeg import decode_jpeg
from app.intake.upload import Format, Limits, Upload

# What Pillow's plugins and OpenCV raise for damaged files, found by fuzzing and by reading their code.
DAMAGE: Final = (
    OSError,  # truncated data, decoder errors, MeteredFile's allowance; UnidentifiedImageError
    ValueError,  # impossible values, oversized text, undecodable text, unsupported conversions
    SyntaxError,  # broken structure
    TypeError,  # tags of the wrong type, missing dimensions
    KeyError,  # unknown tags or codes
    IndexError,  # data that ends inside a field
    AttributeError,  # tags of the wrong type
    AssertionError,  # Pillow's own assumptions about well-formed files
    EOFError,
    OverflowError,  # offsets and sizes beyond the machine's integers
    ZeroDivisionError,  # rationals and tile sizes of zero
    MemoryError,  # a declared size that cannot be allocated
    struct.error,
    zlib.error,
    cv2.error,
)
_DAMAGED: Final = "is damaged, cut off, or stored in a way that is not read"

# Messages of both can quote values of the file, which may be the patient's. The warnings filter is set once, as
# warnings.catch_warnings is not thread-safe.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_picture(data: Upload, kind: Format, limits: Limits) -> Gray:
    """Decodes ``data`` to uint8 [H, W], upright and C-contiguous.

    Args:
        data: a whole file.
        kind: its format, found by content; no other is tried.
        limits: checked on the header, before pixels are decoded.

    Raises:
        ImageTooLarge, ImageTooSmall: by the declared size.
        UnreadableImage: damaged, cut off, with several pages, or of an unsupported kind.
    """
    try:
        content = png.essential(bytes(data)) if kind == "PNG" else bytes(data)
        with MeteredFile(content) as file, Image.open(file, formats=[kind]) as image:
            limits.check_size(image.width, image.height)
            check_structure(image, content, limits)
            if _is_16_bit_colour(image, _rawmode(image)):
                limits.check_deep_colour(image.width, image.height)
            file.allow_pixels(len(image.tile))
            return _pixels(image, content)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge("The picture has more pixels than are ever decoded") from error
    except DAMAGE as error:
        raise UnreadableImage(f"The {kind} {_DAMAGED}") from error


def _pixels(image: ImageFile.ImageFile, content: bytes) -> Gray:
    """uint8 [H, W] of an opened picture."""
    if image.tile and image.tile[0].codec_name == "bmp_rle":
        return _decode_with_opencv(content, cv2.IMREAD_GRAYSCALE).astype(np.uint8, copy=False)
    if image.format in ("JPEG", "MPO"):
        return upright(_jpeg_gray(image, content), _orientation(image))
    rawmode = _rawmode(image)
    image.load()
    orientation = _orientation(image)
    if _is_16_bit_colour(image, rawmode):
        colour = _decode_with_opencv(content, cv2.IMREAD_UNCHANGED).astype(np.uint16, copy=False)
        return upright(gray_of_16_bit_colour(colour, "A;" in rawmode), orientation)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return upright(_deep_gray(image), orientation)
    return upright(gray_of_8_bit(image), orientation)


def _jpeg_gray(image: ImageFile.ImageFile, content: bytes) -> Gray:
    """uint8 [H, W] of a JPEG whose header Pillow has accepted; raises ValueError for a damaged one."""
    if image.mode == "CMYK":
        # Adobe stores CMYK inverted, and nobody else writes it.
        ink = np.invert(decode_jpeg(content, (image.height, image.width, 4)))
        return gray_of_8_bit(Image.fromarray(ink, "CMYK"))
    # A colour JPEG stores luma as a channel of its own: decoding it alone halves the time.
    return decode_jpeg(content, (image.height, image.width, 1))[..., 0]


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Pillow's raw mode, which says how the file stores its samples; available only before the picture is loaded."""
    args = image.tile[0].args if image.tile else None
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _is_16_bit_colour(image: ImageFile.ImageFile, rawmode: str) -> bool:
    """Whether Pillow has kept only the high byte of each sample."""
    return image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA") and ";16" in rawmode


def _decode_with_opencv(content: bytes, flags: int) -> NDArray[Any]:
    """[H, W] or [H, W, C] of a file whose header Pillow has accepted; raises OSError."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if pixels is None:
        raise OSError("OpenCV cannot decode the picture")
    return pixels


def _deep_gray(image: ImageFile.ImageFile) -> Gray:
    """uint8 [H, W] of a decoded picture with one channel of 12 bits or more; raises UnreadableImage."""
    samples = np.asarray(image)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return scaled(samples)
    unsigned = image.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0] == 1
    if unsigned and samples.dtype == np.int32:
        samples = samples.view(np.uint32)
    gray = scaled(samples)
    # Pillow inverts photographic negatives only up to 8 bits.
    is_negative = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0
    return np.invert(gray) if is_negative else gray


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation that is still to be applied; 1 where there is none or the EXIF block is broken."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) else 1
