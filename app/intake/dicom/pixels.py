"""Reads how the header describes the pixels: the Image Pixel Module (PS3.3 C.7.6.3)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from app.errors import UnreadableImage, UnsupportedDicom
from app.intake.dicom.elements import read_integer
from app.intake.upload import Limits

_GRAY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_MIN_BITS, _MAX_BITS = 8, 16


@dataclass(frozen=True, slots=True)
class PixelModule:
    """How the samples of one gray frame are stored.

    Attributes:
        allocated: bits from one sample to the next, 8 or 16.
        stored: bits that a sample uses, 8..16.
        high_bit: position of the highest of them among the allocated bits.
        signed: whether that bit is the sign (two's complement).
        photometric: Photometric Interpretation.
    """

    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str


def read_pixel_module(dataset: Dataset, limits: Limits) -> PixelModule:
    """Reads and checks the pixel module of ``dataset``.

    Raises:
        UnsupportedDicom: several frames, colour, or samples outside 8 to 16 bits.
        ImageTooLarge, ImageTooSmall: by rows and columns.
        UnreadableImage: values that are missing or contradict each other.
    """
    frames = read_integer(dataset, "NumberOfFrames", 1)
    if frames > 1:
        raise UnsupportedDicom("The object has several frames; send the radiograph's frame alone")
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
    if read_integer(dataset, "SamplesPerPixel", 1) != 1 or photometric not in _GRAY:
        raise UnsupportedDicom(
            "The picture is in colour, or of no known Photometric Interpretation; gray ones are read"
        )
    rows, columns = read_integer(dataset, "Rows"), read_integer(dataset, "Columns")
    limits.check_size(columns, rows)
    allocated, stored = read_integer(dataset, "BitsAllocated"), read_integer(dataset, "BitsStored")
    if allocated not in (_MIN_BITS, _MAX_BITS) or not _MIN_BITS <= stored <= _MAX_BITS:
        raise UnsupportedDicom("Samples of 8 to 16 bits in 8 or 16 allocated ones are read")
    high_bit = read_integer(dataset, "HighBit", stored - 1)
    if not stored <= high_bit + 1 <= allocated:
        raise UnreadableImage("Bits Allocated, Bits Stored and High Bit contradict each other")
    signed = read_integer(dataset, "PixelRepresentation", 0) == 1
    return PixelModule(rows, columns, allocated, stored, high_bit, signed, photometric)


def exceed_header(samples: NDArray[np.uint8 | np.uint16], module: PixelModule) -> bool:
    """Whether ``samples`` [H, W] have bits set above High Bit: larger values, or other data stored there.

    Copies of the sign bit are allowed there.
    """
    half = 1 << module.high_bit
    if 2 * half > np.iinfo(samples.dtype).max:
        return False
    if not module.signed:
        return int(samples.max()) >= 2 * half
    signed = samples.view(f"i{samples.itemsize}")
    return int(signed.min()) < -half or int(signed.max()) >= 2 * half
