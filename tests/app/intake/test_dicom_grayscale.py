"""The way from stored values to gray, against one that follows the standard's formulas value by value."""

from collections.abc import Callable
from io import BytesIO
from math import ceil, exp, floor, nan
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite

from app.errors import UnreadableImage
from app.intake.dicom.grayscale import apply_grayscale, read_grayscale
from app.intake.dicom.pixels import PixelModule
from app.intake.value_range import value_range
from tests.support.dicoms import Samples, table

Rounding: TypeAlias = Callable[[float], int]


def stored_value(sample: int, module: PixelModule) -> int:
    """PS3.3 C.7.6.3.1: the stored bits, as a number with or without a sign."""
    value = sample >> (module.high_bit + 1 - module.stored) & (1 << module.stored) - 1
    return value - (1 << module.stored) if module.signed and value >> (module.stored - 1) else value


def half_up(value: float) -> int:
    return floor(value + 0.5)


def half_down(value: float) -> int:
    return ceil(value - 0.5)


def looked_up(value: float, lut: Dataset, rounded: Rounding) -> float:
    """C.11.1.1: values below the first one mapped take the first entry, those above the last."""
    count, first, _ = lut.LUTDescriptor
    entries = np.frombuffer(lut.LUTData, "<u2")
    return float(entries[min(max(rounded(value) - first, 0), (count or 65536) - 1)])


def modality_value(value: int, dataset: Dataset) -> float:
    if "ModalityLUTSequence" in dataset:
        # What is stored is whole: nothing is rounded.
        return looked_up(value, dataset.ModalityLUTSequence[0], int)
    return value * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))


def windowed(x: float, dataset: Dataset) -> float:
    """C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, on an output range of 0..1."""
    c, w = float(dataset.WindowCenter), float(dataset.WindowWidth)
    match dataset.get("VOILUTFunction", "LINEAR"):
        case "SIGMOID":
            power = -4 * (x - c) / w
            return 0.0 if power > 700 else 1 / (1 + exp(power))
        case "LINEAR_EXACT":
            return 0.0 if x <= c - w / 2 else 1.0 if x > c + w / 2 else (x - c) / w + 0.5
        case _:
            if x <= c - 0.5 - (w - 1) / 2:
                return 0.0
            return 1.0 if x > c - 0.5 + (w - 1) / 2 else (x - (c - 0.5)) / (w - 1) + 0.5


def is_rescaled(dataset: Dataset) -> bool:
    """C.11.1: a slope of 1 and an intercept of 0 are as none."""
    return "ModalityLUTSequence" in dataset or any(modality_value(value, dataset) != value for value in (0, 1))


def reference(samples: NDArray[Any], module: PixelModule, dataset: Dataset, rounded: Rounding) -> NDArray[np.int64]:
    """The picture, one sample after the other.

    Args:
        rounded: a rescaled value, before the VOI LUT.
    """
    values = [stored_value(int(sample), module) for sample in samples.ravel()]
    padding = range(0)
    if "PixelPaddingValue" in dataset:
        ends = sorted((dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)))
        padding = range(ends[0], ends[1] + 1)
    shown = [nan if value in padding else modality_value(value, dataset) for value in values]
    low, high = 0.0, 0.0
    if not np.isnan(shown).all():
        # Which values count is no matter of the standard, and has its own tests.
        low, high = value_range(np.reshape(shown, samples.shape), (np.nanmin(shown), np.nanmax(shown)))
    if module.stored == 8 and not module.signed and not is_rescaled(dataset):
        low, high = 0, 255
    inverse = module.photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    grays = []
    for value in values:
        x = modality_value(value, dataset)
        if "VOILUTSequence" in dataset:
            lut = dataset.VOILUTSequence[0]
            # By its largest entry, not by the bits that it declares: many declare more than they have.
            share = looked_up(x, lut, rounded) / max(int(np.frombuffer(lut.LUTData, "<u2").max()), 1)
        elif "WindowCenter" in dataset:
            share = windowed(x, dataset)
        elif high > low:
            share = min(max((x - low) / (high - low), 0), 1)
        else:
            share = float(inverse)
        gray = 1 - share if inverse else share
        grays.append(0.0 if value in padding else gray * 255)
    return np.rint(grays).astype(np.int64).reshape(samples.shape)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Samples, PixelModule, Dataset]:
    """Samples, how they are stored, and a header of transformations."""
    allocated = draw(st.sampled_from((8, 16)))
    stored = draw(st.integers(8, allocated))
    module = PixelModule(
        rows=4,
        columns=6,
        allocated=allocated,
        stored=stored,
        high_bit=draw(st.integers(stored, allocated)) - 1,
        signed=draw(st.booleans()),
        photometric=draw(st.sampled_from(("MONOCHROME1", "MONOCHROME2"))),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = rng.integers(0, 1 << allocated, (4, 6))
    samples: Samples = drawn.astype(np.uint8) if allocated == 8 else drawn.astype(np.uint16)
    dataset = Dataset()
    dataset.PixelRepresentation = int(module.signed)
    there = stored_value(int(samples[0, 0]), module)
    least = -(1 << stored - 1) if module.signed else 0
    match draw(st.sampled_from(("none", "rescale", "table"))):
        case "rescale":
            dataset.RescaleSlope = draw(st.sampled_from((1, 2, 0.5, -1, 0.375, -0.625)))
            dataset.RescaleIntercept = draw(st.just(0) | st.integers(-5000, 5000))
        case "table":
            count = draw(st.integers(2, 300))
            first = max(least, there - draw(st.integers(0, count)))
            dataset.ModalityLUTSequence = table(rng.integers(0, 4096, count), first, 12)
    match draw(st.sampled_from(("none", "window", "table"))):
        case "window":
            function = draw(st.sampled_from((None, "LINEAR", "LINEAR_EXACT", "SIGMOID")))
            if function:
                dataset.VOILUTFunction = function
            dataset.WindowCenter = draw(st.integers(-2000, 70000))
            dataset.WindowWidth = draw(st.integers(1, 70000))
        case "table":
            bits, count = draw(st.integers(8, 16)), draw(st.integers(2, 400))
            # A table need not use all of its bits.
            entries = rng.integers(0, 1 << bits - draw(st.integers(0, 2)), count)
            first = floor(modality_value(there, dataset)) - draw(st.integers(0, count))
            # C.11.2.1.1: the first value mapped has a sign where the table's input can have one.
            ends = (least, least + (1 << stored) - 1)
            signed = any(modality_value(value, dataset) < 0 for value in ends)
            low, high = (-(1 << 15), (1 << 15) - 1) if signed else (0, (1 << 16) - 1)
            dataset.VOILUTSequence = table(entries, min(max(first, low), high), bits)
    if draw(st.booleans()):
        dataset.PresentationLUTShape = draw(st.sampled_from(("IDENTITY", "INVERSE")))
    if draw(st.booleans()):
        values = [stored_value(int(sample), module) for sample in samples.ravel()]
        dataset.PixelPaddingValue = padding = draw(st.sampled_from((there, min(values), max(values))))
        if draw(st.booleans()):
            dataset.PixelPaddingRangeLimit = padding // 2
    return samples, module, dataset


@given(pictures())
@settings(max_examples=300)
def test_the_chain_is_that_of_the_standard(case: tuple[Samples, PixelModule, Dataset]) -> None:
    samples, module, dataset = case
    gray, _ = apply_grayscale(samples, module.allocated, module, read_grayscale(dataset, module))
    found = gray.astype(np.int64)
    # The standard does not say to which of its two neighbours in a VOI LUT a half goes.
    allowed = [reference(samples, module, dataset, rounded) for rounded in (half_up, half_down)]
    # The last step's halves may be rounded either way, as floating point has it.
    assert np.min([np.abs(found - picture) for picture in allowed], axis=0).max() <= 1


def module_of(**changes: Any) -> PixelModule:
    values = {"rows": 2, "columns": 2, "allocated": 16, "stored": 16, "high_bit": 15, "signed": False}
    return PixelModule(**{**values, "photometric": "MONOCHROME2", **changes})


def gray(samples: list[list[int]], dataset: Dataset, **changes: Any) -> list[list[int]]:
    module = module_of(**changes)
    pixels, _ = apply_grayscale(np.array(samples, np.uint16), 16, module, read_grayscale(dataset, module))
    found: list[list[int]] = pixels.tolist()
    return found


def test_a_rescale_that_changes_nothing_is_as_none() -> None:
    dataset = Dataset()
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    for header in (Dataset(), dataset):
        assert gray([[10, 20], [30, 200]], header, stored=8, high_bit=7) == [[10, 20], [30, 200]]
    dataset.RescaleIntercept = 10
    assert gray([[0, 10], [20, 40]], dataset, stored=8, high_bit=7) == [[0, 64], [128, 255]]


def test_a_rescaled_value_takes_the_nearest_entry() -> None:
    dataset = Dataset()
    dataset.RescaleSlope = 0.25
    dataset.VOILUTSequence = table(np.array([0, 85, 170, 255]), 0, 8)
    assert gray([[1, 3], [9, 11]], dataset) == [[0, 85], [170, 255]]


def as_implicit(dataset: Dataset) -> Dataset:
    """``dataset`` as it is read from a file without VRs."""
    file = BytesIO()
    dcmwrite(file, dataset, implicit_vr=True, little_endian=True)
    return dcmread(file, force=True)


@pytest.mark.parametrize("form", [lambda dataset: dataset, as_implicit], ids=["explicit", "implicit"])
@pytest.mark.parametrize(
    ("signed", "slope", "intercept", "first"),
    [
        (False, 1, 0, 40000),
        (True, 1, 0, 40000 - 65536),
        (False, 1, -32768, 40000 - 65536),
        (False, -1, 0, 40000 - 65536),
        (True, 1, 32768, 40000),
        (True, -1, 32767, 40000),
    ],
)
def test_a_voi_luts_first_value_has_the_sign_of_what_the_rescale_gives(
    form: Callable[[Dataset], Dataset], signed: bool, slope: int, intercept: int, first: int
) -> None:
    """C.11.2.1.1, where the descriptor holds the bits of 40000."""
    dataset = Dataset()
    dataset.PixelRepresentation = int(signed)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    dataset.VOILUTSequence = table(np.array([0, 85, 170, 255]), 40000, 8)
    stored = [(first + place - intercept) // slope & 0xFFFF for place in range(4)]
    assert gray([stored[:2], stored[2:]], form(dataset), signed=signed) == [[0, 85], [170, 255]]


@pytest.mark.parametrize("form", [lambda dataset: dataset, as_implicit], ids=["explicit", "implicit"])
def test_behind_a_modality_lut_no_value_is_below_zero(form: Callable[[Dataset], Dataset]) -> None:
    dataset = Dataset()
    dataset.PixelRepresentation = 1
    dataset.ModalityLUTSequence = table(np.arange(40000, 40004), 65535, 16)
    dataset.VOILUTSequence = table(np.array([0, 85, 170, 255]), 40000, 8)
    # The modality LUT starts at -1: its own input is what is stored.
    assert gray([[0xFFFF, 0], [1, 2]], form(dataset), signed=True) == [[0, 85], [170, 255]]


CR = "1.2.840.10008.5.1.4.1.1.1"
XA, XRF = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"


@pytest.mark.parametrize(
    ("kind", "relationship", "applied"),
    [
        *((kind, relationship, False) for kind in (XA, XRF) for relationship in ("LOG", "DISP")),
        *((XRF, relationship, True) for relationship in ("LIN", "", None)),
        *((CR, relationship, True) for relationship in ("LOG", "DISP")),
        (None, "LOG", True),
    ],
)
def test_fluoroscopy_made_to_be_shown_has_no_modality_lut_applied(
    kind: str | None, relationship: str | None, applied: bool
) -> None:
    """PS3.3 C.8.7.1.1.2."""
    dataset = Dataset()
    if kind:
        dataset.SOPClassUID = kind
    if relationship is not None:
        dataset.PixelIntensityRelationship = relationship
    dataset.ModalityLUTSequence = table(np.arange(41)[::-1], 0, 8)
    expected = [[0, 64], [128, 255]]
    assert gray([[0, 10], [20, 40]], dataset) == (
        [[255 - value if value != 128 else 128 for value in row] for row in expected] if applied else expected
    )
    del dataset.ModalityLUTSequence
    dataset.RescaleSlope, dataset.RescaleIntercept = -1, 40
    assert gray([[0, 10], [20, 40]], dataset)[0][0] == (255 if applied else 0)


def test_a_single_value_is_black_in_either_polarity() -> None:
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        assert gray([[7, 7], [7, 7]], Dataset(), photometric=photometric) == [[0, 0], [0, 0]]


def test_all_padding_is_black() -> None:
    dataset = Dataset()
    dataset.PixelPaddingValue = 7
    assert gray([[7, 7], [7, 7]], dataset, photometric="MONOCHROME1") == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("centre", "width"), [(0, 0), (100, -5), ("nan", 5), (None, 100)])
def test_a_window_that_is_none_is_left_out(centre: Any, width: Any) -> None:
    dataset = Dataset()
    dataset.add_new("WindowCenter", "DS" if centre != "nan" else "LO", centre)
    dataset.WindowWidth = width
    assert gray([[0, 10], [20, 40]], dataset) == [[0, 64], [128, 255]]


@pytest.mark.parametrize(
    ("centres", "widths"),
    [([0, 20], [0, 41]), ([0, 20, 5], [-1, 41, 7]), (["", 20], ["", 41]), ([100, 20], [0.5, 41]), ([20, 0], [41, 0])],
)
def test_of_several_windows_the_first_that_is_one_counts(centres: list[Any], widths: list[Any]) -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = centres, widths
    for form in (dataset, as_implicit(dataset)):
        assert gray([[0, 10], [20, 40]], form) == [[3, 67], [131, 255]]


def test_a_slope_of_zero_changes_nothing_and_one_beyond_numbers_is_refused() -> None:
    dataset = Dataset()
    dataset.RescaleSlope = 0
    assert gray([[0, 10], [20, 40]], dataset) == [[0, 64], [128, 255]]
    dataset.add_new("RescaleSlope", "FD", 1e308)
    with pytest.raises(UnreadableImage, match="rescale"):
        gray([[0, 10], [20, 40]], dataset)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_table_of_fewer_or_more_bits_than_it_says(bits: int) -> None:
    dataset = Dataset()
    dataset.VOILUTSequence = table(np.array([0, 500, 1023]), 0, bits)
    assert gray([[0, 1], [2, 9]], dataset) == [[0, 125], [255, 255]]


def test_a_table_of_nothing_but_black() -> None:
    dataset = Dataset()
    dataset.VOILUTSequence = table(np.zeros(4), 0, 12)
    assert gray([[0, 1], [2, 9]], dataset) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("change", [{"LUTData": b"\0\0"}, {"LUTDescriptor": [3, 0]}, {"LUTDescriptor": [3, 0, 40]}])
def test_a_damaged_table_is_unreadable(change: dict[str, Any]) -> None:
    dataset = Dataset()
    dataset.VOILUTSequence = table(np.array([0, 500, 1023]), 0, 12)
    for keyword, value in change.items():
        setattr(dataset.VOILUTSequence[0], keyword, value)
    with pytest.raises(UnreadableImage, match="lookup table"):
        gray([[0, 1], [2, 9]], dataset)
