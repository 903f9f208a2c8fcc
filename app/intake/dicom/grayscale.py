"""Stored values → 8-bit gray: modality LUT, VOI LUT, presentation LUT (PS3.4 N.2, PS3.3 C.11).

A stored value has at most 16 bits, so the whole chain is computed once for each possible value, and the picture is
looked up in the resulting table.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid

from app.errors import UnreadableImage, UnsupportedDicom
from app.intake.dicom.damage import DAMAGE
from app.intake.dicom.decoders import Samples
from app.intake.dicom.elements import read_integer, read_number, read_values
from app.intake.dicom.pixels import PixelModule
from app.intake.gray import Gray, looked_up
from app.intake.value_range import Flags, Values, value_range

_DAMAGED: Final = "A lookup table of the header is damaged or cut off"
_COLOURS: Final = ("Red", "Green", "Blue")
IDENTITY: Final = (1.0, 0.0)
_FLUOROSCOPY: Final = frozenset({uid.XRayAngiographicImageStorage, uid.XRayRadiofluoroscopicImageStorage})


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """A lookup table.

    Attributes:
        first: the value that the first entry is for; values outside the table take its first or last entry.
        entries: float64 [N].
        top: its largest entry, at least 1; the bits that a table declares are no measure, as many declare too many.
    """

    first: int
    entries: Values
    top: float

    def of(self, values: Values) -> Values:
        """The entry of each value."""
        # Clipped before the conversion: a rescaled value may exceed any integer type.
        places = np.clip(np.rint(np.nan_to_num(values) - self.first), 0, len(self.entries) - 1)
        found: Values = self.entries[places.astype(np.int64)]
        return found

    def shares(self, values: Values) -> Values:
        """The share of white, 0..1, for each of the modality ``values``."""
        return self.of(values) / self.top


@dataclass(frozen=True, slots=True)
class Window:
    """The range of values to show.

    Attributes:
        function: VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID.
    """

    centre: float
    width: float
    function: str

    def shares(self, values: Values) -> Values:
        """The share of white, 0..1, for each of the modality ``values``."""
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(-4 * (values - self.centre) / self.width))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width == 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


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
        return Grayscale(IDENTITY, read_palette(dataset, module.signed), False, None, False)
    modality = _read_modality(dataset, module.signed)
    voi = read_lookup(dataset, "VOILUTSequence", _may_be_negative(modality, module)) or read_window(dataset)
    shape = str(dataset.get("PresentationLUTShape", "")).strip()
    inverted = module.photometric == "MONOCHROME1" or shape == "INVERSE"
    whole = module.stored == 8 and not module.signed and modality == IDENTITY
    return Grayscale(modality, voi, inverted, _read_padding(dataset, module), whole)


def apply_grayscale(samples: Samples, bits: int, module: PixelModule, scale: Grayscale) -> tuple[Gray, Grayscale]:
    """Transforms ``samples`` [H, W], as they are allocated, to uint8 [H, W] in which air is dark.

    Bits that are not stored are ignored, and padding becomes black. Also returns the transformations with the window
    that was taken where ``scale`` has none.

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
    shown = scale if scale.voi is not None else replace(scale, voi=_window_over(*span))
    return looked_up(samples, table), shown


def stored_values(levels: int, bits: int, signed: bool) -> Values:
    """The value of each bit pattern 0 … ``levels`` - 1, float64; the highest of ``bits`` is the sign if ``signed``."""
    values = np.arange(levels, dtype=np.float64)
    if signed:
        values[values >= 1 << bits - 1] -= 1 << bits
    return values


def _window_over(low: float, high: float) -> Window:
    """The window that shows ``low`` black and ``high`` white."""
    return Window((low + high + 1) / 2, max(high - low, 1.0) + 1, "LINEAR")


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
    if scale.voi is not None:
        return scale.voi.shares(values)
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
        return IDENTITY
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


def read_lookup(dataset: Dataset, keyword: str, signed: bool) -> Lookup | None:
    """The first table of the sequence ``keyword``; None without one.

    Args:
        signed: whether the values looked up can be below zero.

    Raises:
        UnreadableImage: a table that is not what its descriptor says.
    """
    items = dataset.get(keyword)
    if not items:
        return None
    return _read_table(items[0].get("LUTDescriptor"), items[0].get("LUTData"), dataset, signed)


def read_palette(dataset: Dataset, signed: bool) -> Lookup:
    """The table of a palette whose colours are all gray.

    Args:
        signed: whether samples can be below zero.

    Raises:
        UnsupportedDicom: other colours, or tables in segments.
        UnreadableImage: tables that are missing or damaged.
    """
    if any(f"Segmented{colour}PaletteColorLookupTableData" in dataset for colour in _COLOURS):
        raise UnsupportedDicom("Its palette is stored in segments, which is not read")
    red, green, blue = (
        _read_table(
            dataset.get(f"{colour}PaletteColorLookupTableDescriptor"),
            dataset.get(f"{colour}PaletteColorLookupTableData"),
            dataset,
            signed,
        )
        for colour in _COLOURS
    )
    for other in (green, blue):
        if red.first != other.first or not np.array_equal(red.entries, other.entries):
            raise UnsupportedDicom("The picture is in colour; gray ones are read")
    return red


def _read_table(descriptor: Any, data: Any, dataset: Dataset, signed: bool) -> Lookup:
    """The table with this descriptor and data; raises UnreadableImage."""
    is_little = dataset.original_encoding[1] is not False
    try:
        count, first, bits = (int(value) for value in descriptor)
        entries = _entries(data, is_little)
    except DAMAGE as error:
        raise UnreadableImage(_DAMAGED) from error
    count = count & 0xFFFF or 1 << 16
    if not 1 <= bits <= 16:
        raise UnreadableImage(_DAMAGED)
    if bits == 8 and count <= 2 * len(entries) < 2 * count:
        # Some writers pack two entries into a word; the entries are in the order of the bytes.
        entries = entries.astype("<u2" if is_little else ">u2").view(np.uint8)
    if len(entries) < count:
        raise UnreadableImage(_DAMAGED)
    table = entries[:count].astype(np.float64)
    return Lookup(_with_sign(first, signed, dataset), table, max(float(table.max()), 1.0))


def _entries(data: Any, is_little: bool) -> NDArray[Any]:
    """uint16 [N] of an element's value: bytes (OW), a number (US, SS) or several."""
    if isinstance(data, bytes):
        return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if is_little else ">u2")
    return (np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF).astype(np.uint16)


def _with_sign(first: int, signed: bool, dataset: Dataset) -> int:
    """The first value mapped; it is signed where the values looked up are."""
    if signed:
        return first - 0x10000 if first >= 0x8000 else first
    # With implicit VR, pydicom takes the sign from the samples. An explicit SS in the file is kept.
    return first & 0xFFFF if dataset.original_encoding[0] else first


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
