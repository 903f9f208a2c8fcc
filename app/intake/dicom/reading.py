"""A DICOM upload → 8-bit gray pixels, header and flags."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset

from app.errors import UnreadableImage
from app.intake.dicom.damage import DAMAGE
from app.intake.dicom.decoders import decode_samples
from app.intake.dicom.elements import UnknownRepresentation, clean
from app.intake.dicom.grayscale import Grayscale, apply_grayscale, read_grayscale
from app.intake.dicom.header import header_flags
from app.intake.dicom.objects import check_object
from app.intake.dicom.parsing import HEADER_BYTES, Parsed, parse
from app.intake.dicom.pixels import exceed_header, read_pixel_module
from app.intake.gray import Gray
from app.intake.upload import Limits, Upload
from models import quality


@dataclass(frozen=True, slots=True, eq=False)
class DicomRadiograph:
    """What a DICOM object holds.

    Attributes:
        pixels: uint8 [H, W], C-contiguous, in the right polarity: air is dark.
        source: the header with ``file_meta``, without pixels, private and bulk elements.
        shown: the transformations by which stored values became ``pixels``.
        flags: reasons in the header not to trust a score, as codes of ``models.quality``.
    """

    pixels: Gray
    source: Dataset
    shown: Grayscale
    flags: tuple[str, ...]


def read_dicom(data: Upload, limits: Limits, body_parts: Iterable[str] = ()) -> DicomRadiograph:
    """Decodes the radiograph in ``data``, a whole file; thread-safe.

    Args:
        limits: checked on the header, before pixels are decoded.
        body_parts: more words in Body Part Examined that mean the chest.

    Raises:
        ImageTooLarge, ImageTooSmall: by rows and columns.
        UnsupportedDicom: not a radiograph, several frames, colour, or an unsupported transfer syntax.
        UnreadableImage: damaged, cut off, or contradicting itself.
    """
    try:
        parsed = _parsed(bytes(data), limits)
        source = parsed.dataset
        clean(source.file_meta)
        check_object(source)
        if not parsed.pixels or parsed.length == 0:
            raise UnreadableImage("The object has no pixel data, or is cut off before them")
        module = read_pixel_module(source, limits)
        samples, bits = decode_samples(parsed, module)
        pixels, shown = apply_grayscale(samples, bits, module, read_grayscale(source, module))
        flags = header_flags(source, body_parts)
        if exceed_header(samples, module):
            flags = (*flags, quality.DAMAGED_HEADER)
        return DicomRadiograph(pixels, source, shown, flags)
    except DAMAGE as error:
        raise UnreadableImage("The DICOM object is damaged, cut off, or stored in a way that is not read") from error


def _parsed(content: bytes, limits: Limits) -> Parsed:
    """Parses a file and cleans its header; raises as ``parse`` and ``clean``."""
    max_inflated = 2 * limits.max_pixels + HEADER_BYTES
    parsed = parse(content, max_inflated)
    try:
        clean(parsed.dataset, strict=True)
    except UnknownRepresentation:
        parsed = parse(content, max_inflated, mending=True)
        clean(parsed.dataset)
    return parsed
