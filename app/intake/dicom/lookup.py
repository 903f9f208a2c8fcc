"""Lookup tables: modality LUT, VOI LUT, palette (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5)."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from app.errors import UnreadableImage, UnsupportedDicom
from app.intake.dicom.damage import DAMAGE

Values: TypeAlias = NDArray[np.float64]
_DAMAGED: Final = "A lookup table of the header is damaged or cut off"
_COLOURS: Final = ("Red", "Green", "Blue")


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
