"""Stored values → 8-bit gray: modality LUT, VOI LUT, presentation LUT (PS3.4 N.2, PS3.3 C.11).

A stored value has at most 16 bits, so the whole chain is computed once for each possible value, and the picture is
looked up in the resulting table.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from pydicom import Dataset, uid

from app.errors import UnreadableImage
from app.intake.dicom.decoders import Samples
from app.intake.dicom.lookup import Lookup, read_lookup, read_palette
from app.intake.dicom.pixels import PixelModule
from app.intake.dicom.values import read_integer, read_number
from app.intake.dicom.window import Window, read_window
from app.intake.gray import Gray, looked_up
from app.intake.value_range import Flags, Values, value_range

_IDENTITY: Final = (1.0, 0.0)
_FLUOROSCOPY: Final = frozenset({uid.XRayAngiographicImageStorage, uid.XRayRadiofluoroscopicImageStorage})


@dataclass(frozen=True, slots=True)
class Grayscale:
    """The transformations of one header, in the order in which they apply.

    Attributes:
        modality: LUT, or slope and intercept.
        voi: LUT or window; None: the ``value_range`` of the picture.
        inverted: whether the smallest value is shown white.
        padding: first and last of the stored values that are no part of the picture; None without any.
        whole_range: without ``voi``, the largest value that can be stored is white and 0 is black, whatever occurs.
    """

    modality: Lookup | tuple[float, float]
    voi: Lookup | Window | None
    inverted: bool
    padding: tuple[int, int] | None
    whole_range: bool


def read_grayscale(dataset: Dataset, module: PixelModule) -> Grayscale:
    """The transformations that ``dataset`` asks for.

    The first VOI LUT is used, else the first valid window (C.11.2). The picture is inverted where Photometric
    Interpretation is MONOCHROME1 or Presentation LUT Shape is INVERSE. In a DX image both mean the same (C.8.11.3), so
    both together invert it once.

    Raises:
        UnsupportedDicom: a palette of colours.
        UnreadableImage: a damaged LUT.
    """
    if module.photometric == "PALETTE COLOR":
        return Grayscale(_IDENTITY, read_palette(dataset, module.signed), False, None, False)
    modality = _read_modality(dataset, module.signed)
    voi = read_lookup(dataset, "VOILUTSequence", _may_be_negative(modality, module)) or read_window(dataset)
    shape = str(dataset.get("PresentationLUTShape", "")).strip()
    inverted = module.photometric == "MONOCHROME1" or shape == "INVERSE"
    whole = module.stored == 8 and not module.signed and modality == _IDENTITY
    return Grayscale(modality, voi, inverted, _read_padding(dataset, module), whole)


def apply_grayscale(samples: Samples, bits: int, module: PixelModule, scale: Grayscale) -> Gray:
    """Transforms ``samples`` [H, W], as they are allocated, to uint8 [H, W] in which air is dark.

    Bits that are not stored are ignored, and padding becomes black.

    Args:
        bits: how many a sample can have. A codestream may have fewer than are stored; the highest of them is the sign.

    Raises:
        UnreadableImage: transformations whose result is not finite.
    """
    shift = module.high_bit + 1 - module.stored if bits > module.high_bit else 0
    levels = 1 << module.stored
    patterns = np.right_shift(np.arange(1 << 8 * samples.itemsize), shift) & (levels - 1)
    stored = stored_values(levels, min(bits, module.stored), module.signed)
    is_padding = np.zeros(levels, np.bool_)
    if scale.padding is not None:
        is_padding = (stored >= scale.padding[0]) & (stored <= scale.padding[1])
    with np.errstate(all="ignore"):
        values = _modality_values(stored, scale.modality)
        span = (0.0, levels - 1.0)
        if scale.voi is None and not scale.whole_range:
            span = _range(samples, np.where(is_padding, np.nan, values)[patterns])
        shares = _shares(values, span, scale)
    table = _gray_table(shares, is_padding, scale.inverted)[patterns]
    return looked_up(samples, table)


def stored_values(levels: int, bits: int, signed: bool) -> Values:
    """The value of each bit pattern 0 … ``levels`` - 1, float64; the highest of ``bits`` is the sign if ``signed``."""
    values = np.arange(levels, dtype=np.float64)
    if signed:
        values[values >= 1 << bits - 1] -= 1 << bits
    return values


def _gray_table(shares: Values, is_padding: Flags, inverted: bool) -> Gray:
    """uint8 [N]: the gray of each share of white [N]; raises UnreadableImage where a share is not finite."""
    if not np.isfinite(shares).all():
        raise UnreadableImage("The header's rescale or window values do not give numbers")
    table = np.rint((1 - shares if inverted else shares) * 255).astype(np.uint8)
    table[is_padding] = 0
    return table


def _modality_values(stored: Values, modality: Lookup | tuple[float, float]) -> Values:
    if isinstance(modality, Lookup):
        return modality.of(stored)
    slope, intercept = modality
    return stored * slope + intercept


def _shares(values: Values, span: tuple[float, float], scale: Grayscale) -> Values:
    """Maps modality values [N] to 0..1; ``span`` is the range to show without VOI LUT and window."""
    if isinstance(scale.voi, Lookup):
        return scale.voi.of(values) / scale.voi.top
    if scale.voi is not None:
        return scale.voi.of(values)
    low, high = span
    if not high > low:
        # A picture with a single value is black, as in other formats, even if it is inverted.
        return np.full(len(values), float(scale.inverted))
    # Values that do not occur in the picture may lie outside the span.
    return np.clip((values - low) / (high - low), 0, 1)


def _range(samples: Samples, values: Values) -> tuple[float, float]:
    """The ``value_range`` of ``samples`` [H, W], where sample n has the value ``values[n]``."""
    count = int(samples.max()) + 1
    is_there = cv2.calcHist([samples], [0], None, [count], [0, count]).ravel() > 0
    found = values[:count][is_there & ~np.isnan(values[:count])]
    return value_range(samples, (float(found.min()), float(found.max())), values) if found.size else (0.0, 0.0)


def _read_modality(dataset: Dataset, signed: bool) -> Lookup | tuple[float, float]:
    """Modality LUT, else rescale; neither for XA and XRF where applying it would undo the processing for display."""
    relationship = str(dataset.get("PixelIntensityRelationship", "")).strip().upper()
    # PS3.3 C.8.7.1.1.2. In other classes the attribute does not affect what is shown (C.8.11.3.1.2).
    if relationship in ("LOG", "DISP") and str(dataset.get("SOPClassUID", "")).strip() in _FLUOROSCOPY:
        return _IDENTITY
    return read_lookup(dataset, "ModalityLUTSequence", signed) or _read_rescale(dataset)


def _read_rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where absent or invalid."""
    slope, intercept = read_number(dataset.get("RescaleSlope")), read_number(dataset.get("RescaleIntercept"))
    return slope or 1.0, intercept or 0.0


def _may_be_negative(modality: Lookup | tuple[float, float], module: PixelModule) -> bool:
    """Whether a VOI LUT's input, which is the output of the modality step, can be negative (C.11.2.1.1)."""
    if isinstance(modality, Lookup):
        return False
    slope, intercept = modality
    lowest = -(1 << module.stored - 1) if module.signed else 0
    highest = lowest + (1 << module.stored) - 1
    return min(lowest * slope, highest * slope) + intercept < 0


def _read_padding(dataset: Dataset, module: PixelModule) -> tuple[int, int] | None:
    """Pixel Padding Value and Range Limit (C.7.5.1.1.2), the smaller one first."""
    if dataset.get("PixelPaddingValue") in (None, ""):
        return None
    first = _sample(read_integer(dataset, "PixelPaddingValue"), module)
    last = _sample(read_integer(dataset, "PixelPaddingRangeLimit", first), module)
    return min(first, last), max(first, last)


def _sample(value: int, module: PixelModule) -> int:
    """A 16-bit number, signed if the samples are: its own VR may say otherwise."""
    value &= 0xFFFF
    return value - 0x10000 if module.signed and value >= 0x8000 else value
