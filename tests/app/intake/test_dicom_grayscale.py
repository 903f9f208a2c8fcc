"""The way from stored values to gray, against one that follows the standard's formulas value by value."""

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset

from app.errors import UnreadableImage
from app.intake.dicom.grayscale import apply_grayscale, read_grayscale
from app.intake.dicom.pixels import PixelModule

from .dicoms import table

SETTINGS = settings(max_examples=150, deadline=None, database=None)


def stored_value(sample: int, module: PixelModule) -> int:
    """PS3.3 C.7.6.3.1: the stored bits, as a number with or without a sign."""
    value = sample >> (module.high_bit + 1 - module.stored) & (1 << module.stored) - 1
    return value - (1 << module.stored) if module.signed and value >> (module.stored - 1) else value


def looked_up(value: float, lut: Dataset) -> float:
    """C.11.1.1: values below the first one mapped take the first entry, those above the last."""
    count, first, _ = lut.LUTDescriptor
    entries = np.frombuffer(lut.LUTData, "<u2")
    return float(entries[int(min(max(round(value) - first, 0), (count or 65536) - 1))])


def modality_value(value: float, dataset: Dataset) -> float:
    if "ModalityLUTSequence" in dataset:
        return looked_up(value, dataset.ModalityLUTSequence[0])
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


def reference(samples: NDArray[Any], module: PixelModule, dataset: Dataset) -> NDArray[np.int64]:
    """The picture, one sample after the other."""
    values = [stored_value(int(sample), module) for sample in samples.ravel()]
    padding = range(0)
    if "PixelPaddingValue" in dataset:
        ends = sorted((dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)))
        padding = range(ends[0], ends[1] + 1)
    shown = [modality_value(value, dataset) for value in values if value not in padding]
    low, high = min(shown, default=0), max(shown, default=0)
    if module.stored == 8 and not module.signed and not {"ModalityLUTSequence", "RescaleSlope"} & set(dataset.dir()):
        low, high = 0, 255
    inverse = module.photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    grays = []
    for value in values:
        x = modality_value(value, dataset)
        if "VOILUTSequence" in dataset:
            lut = dataset.VOILUTSequence[0]
            share = looked_up(x, lut) / ((1 << lut.LUTDescriptor[2]) - 1)
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
def pictures(draw: st.DrawFn) -> tuple[NDArray[np.uint8 | np.uint16], PixelModule, Dataset]:
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
    samples = rng.integers(0, 1 << allocated, (4, 6)).astype(np.uint8 if allocated == 8 else np.uint16)
    dataset = Dataset()
    dataset.PixelRepresentation = int(module.signed)
    least = -(1 << stored - 1) if module.signed else 0
    match draw(st.sampled_from(("none", "rescale", "table"))):
        case "rescale":
            dataset.RescaleSlope = draw(st.sampled_from((1, 2, 0.5, -1, -0.25)))
            dataset.RescaleIntercept = draw(st.integers(-5000, 5000))
        case "table":
            count = draw(st.integers(2, 300))
            dataset.ModalityLUTSequence = table(
                rng.integers(0, 4096, count), max(least, draw(st.integers(-200, 200))), 12
            )
    match draw(st.sampled_from(("none", "window", "table"))):
        case "window":
            function = draw(st.sampled_from((None, "LINEAR", "LINEAR_EXACT", "SIGMOID")))
            if function:
                dataset.VOILUTFunction = function
            dataset.WindowCenter = draw(st.integers(-2000, 70000))
            dataset.WindowWidth = draw(st.integers(1, 70000))
        case "table":
            bits = draw(st.integers(8, 16))
            entries = rng.integers(0, 1 << bits, draw(st.integers(2, 400)))
            dataset.VOILUTSequence = table(entries, draw(st.integers(-300, 300)), bits)
    if draw(st.booleans()):
        dataset.PresentationLUTShape = draw(st.sampled_from(("IDENTITY", "INVERSE")))
    if draw(st.booleans()):
        there = stored_value(int(samples[0, 0]), module)
        dataset.PixelPaddingValue = there
        if draw(st.booleans()):
            dataset.PixelPaddingRangeLimit = there // 2
    return samples, module, dataset


@given(pictures())
@SETTINGS
def test_the_chain_is_that_of_the_standard(case: tuple[NDArray[np.uint8 | np.uint16], PixelModule, Dataset]) -> None:
    samples, module, dataset = case
    found = apply_grayscale(samples, module.allocated, module, read_grayscale(dataset, module))
    # Halves may be rounded either way, as floating point has it.
    assert np.abs(found.astype(np.int64) - reference(samples, module, dataset)).max() <= 1


def module_of(**changes: Any) -> PixelModule:
    values = {"rows": 2, "columns": 2, "allocated": 16, "stored": 16, "high_bit": 15, "signed": False}
    return PixelModule(**{**values, "photometric": "MONOCHROME2", **changes})


def gray(samples: list[list[int]], dataset: Dataset, **changes: Any) -> list[list[int]]:
    module = module_of(**changes)
    found: list[list[int]] = apply_grayscale(
        np.array(samples, np.uint16), 16, module, read_grayscale(dataset, module)
    ).tolist()
    return found


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


def test_a_slope_of_zero_changes_nothing_and_one_beyond_numbers_is_refused() -> None:
    dataset = Dataset()
    dataset.RescaleSlope = 0
    assert gray([[0, 10], [20, 40]], dataset) == [[0, 64], [128, 255]]
    dataset.add_new("RescaleSlope", "FD", 1e308)
    with pytest.raises(UnreadableImage, match="rescale"):
        gray([[0, 10], [20, 40]], dataset)


def test_a_table_with_more_bits_than_it_says() -> None:
    dataset = Dataset()
    dataset.VOILUTSequence = table(np.array([0, 500, 1023]), 0, 8)
    assert gray([[0, 1], [2, 9]], dataset) == [[0, 125], [255, 255]]


@pytest.mark.parametrize("change", [{"LUTData": b"\0\0"}, {"LUTDescriptor": [3, 0]}, {"LUTDescriptor": [3, 0, 40]}])
def test_a_damaged_table_is_unreadable(change: dict[str, Any]) -> None:
    dataset = Dataset()
    dataset.VOILUTSequence = table(np.array([0, 500, 1023]), 0, 12)
    for keyword, value in change.items():
        setattr(dataset.VOILUTSequence[0], keyword, value)
    with pytest.raises(UnreadableImage, match="lookup table"):
        gray([[0, 1], [2, 9]], dataset)
