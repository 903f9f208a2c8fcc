"""DICOM Presentation State, read back and rendered by others."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from app.errors import UnsupportedDicom
from app.intake import Limits, Radiograph, decode
from app.intake.dicom.grayscale import Grayscale, Lookup, Window
from app.reports.dicom import check_presentable, presentation_state
from app.reports.dicom.presentation_state import write_presentation_state
from models.analysis import Analysis
from tests.support.dicoms import dicom
from tests.support.reports import HEIGHT, WIDTH, analysis, case_of, full_source, refused, write_presentation_of


def state_of(found: Analysis | None = None) -> Dataset:
    return dcmread(BytesIO(write_presentation_of(case_of(full_source(), found))))


def layers(state: Dataset) -> dict[str, list[NDArray[np.float64]]]:
    """The lines by layer, [n, 2] each: x and y, the picture's corner being 0, 0."""
    return {
        annotation.GraphicLayer: [
            np.array(line.GraphicData).reshape(-1, 2) for line in annotation.get("GraphicObjectSequence", ())
        ]
        for annotation in state.GraphicAnnotationSequence
    }


def texts(state: Dataset) -> list[str]:
    (annotation,) = (item for item in state.GraphicAnnotationSequence if "TextObjectSequence" in item)
    return [item.UnformattedTextValue for item in annotation.TextObjectSequence]


def filled(lines: list[NDArray[np.float64]], shape: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.bool_]:
    """What closed lines enclose, the pixels that they go through included."""
    mask = np.zeros(shape, np.uint8)
    for line in lines:
        assert (line[0] == line[-1]).all()
        cv2.fillPoly(mask, [np.rint(line - 0.5).astype(np.int32)], 1)
    return mask.view(np.bool_)


def test_what_it_refers_to() -> None:
    source = full_source()
    state = state_of()
    assert state.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    assert state.StudyInstanceUID == source.StudyInstanceUID
    (series,) = state.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    (image,) = series.ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert state.ContentDescription == "Research use only. Not a medical device."
    (area,) = state.DisplayedAreaSelectionSequence
    assert list(area.DisplayedAreaBottomRightHandCorner) == [WIDTH, HEIGHT]


def test_outlines_are_those_of_the_masks() -> None:
    found, lines = analysis(), layers(state_of())
    assert (filled(lines["LUNGS"]) == found.lungs).all()
    assert (filled(lines["DISEASE"]) == found.disease).all()
    assert len(lines["LUNGS"]) == 2 and len(lines["ZONES"]) == 6
    for label, line in enumerate(lines["ZONES"], start=1):
        assert (filled([line]) == (found.zones == label)).all()


def test_score_and_shares_are_written_where_they_belong() -> None:
    state, found = state_of(), analysis()
    heading, *shares = texts(state)
    assert heading == "Lung severity score 2 of 6. Research use only"
    assert shares[0] == "Right upper 31%" and len(shares) == 6
    places = [item.AnchorPoint for item in state.GraphicAnnotationSequence[0].TextObjectSequence[1:]]
    (x, y), right_upper = places[0], found.zones == 3
    assert right_upper[int(y), int(x)]


def test_without_a_score_there_is_no_disease() -> None:
    found = analysis(score=None, flags=("not_frontal",))
    assert "DISEASE" not in layers(state_of(found))
    assert texts(state_of(found)) == ["No score is given. Not frontal. Research use only"]
    assert layers(state_of(refused("lungs_not_found"))) == {"TEXT": []}


def test_a_line_of_many_points_is_written_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphic Data has no room for more than 8,191 points."""
    (whole,) = layers(state_of())["DISEASE"]
    monkeypatch.setattr(presentation_state, "_MAX_POINTS", 3)
    first, second = layers(state_of())["DISEASE"]
    assert (len(first), len(second)) == (3, 3)
    assert (np.concatenate([first, second[1:]]) == whole).all()


def lookup(entries: NDArray[Any], first: int = 0) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, 16])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return [item]


HEADERS: dict[str, dict[str, Any]] = {
    "no window": {},
    "a window": {"WindowCenter": 1500, "WindowWidth": 1200},
    "a window of fractions": {"WindowCenter": 1500.123456789012, "WindowWidth": 1200.98765},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 1500, "WindowWidth": 1200},
    "a rescale": {"RescaleSlope": 2.5, "RescaleIntercept": -1024, "WindowCenter": 2500, "WindowWidth": 3000},
    "a table": {"VOILUTSequence": lookup(np.linspace(0, 4095, 3000) ** 2 / 4095, 500)},
    "a table after a rescale": {
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "VOILUTSequence": lookup(np.linspace(0, 4095, 3000), -500),
    },
    "a modality table": {
        "ModalityLUTSequence": lookup(np.linspace(4095, 0, 4096)),
        "WindowCenter": 1500,
        "WindowWidth": 1200,
    },
}


def sent(**elements: Any) -> tuple[bytes, Radiograph]:
    samples = np.random.default_rng(0).integers(100, 4000, (HEIGHT, WIDTH)).astype(np.uint16)
    data = dicom(samples, bits=12, **elements)
    return data, decode(data, Limits())


@pytest.mark.parametrize("name", HEADERS)
def test_the_radiograph_is_shown_as_the_networks_saw_it(name: str, tmp_path: Path) -> None:
    """By DCMTK, which renders a picture under the control of a presentation state."""
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("dcmtk is not installed")
    data, radiograph = sent(**HEADERS[name])
    assert radiograph.source is not None and radiograph.shown is not None
    (tmp_path / "image.dcm").write_bytes(data)
    (tmp_path / "state.dcm").write_bytes(write_presentation_state(case_of(radiograph.source), radiograph.shown))
    subprocess.run(["dcmp2pgm", "-p", "state.dcm", "image.dcm", "shown.pgm"], cwd=tmp_path, check=True)
    shown = cv2.imread(str(tmp_path / "shown.pgm"), cv2.IMREAD_UNCHANGED)
    assert shown is not None
    assert np.ptp(shown) > 200
    assert np.abs(shown.astype(int) - radiograph.pixels).max() <= 2


def test_a_palette_is_refused() -> None:
    palette = np.linspace(0, 65535, 4096).astype("<u2").tobytes()
    colours = {}
    for colour in ("Red", "Green", "Blue"):
        colours[f"{colour}PaletteColorLookupTableDescriptor"] = [4096, 0, 16]
        colours[f"{colour}PaletteColorLookupTableData"] = palette
    _, radiograph = sent(PhotometricInterpretation="PALETTE COLOR", **colours)
    with pytest.raises(UnsupportedDicom, match="palette"):
        check_presentable(radiograph)


@pytest.mark.parametrize("first", [-32768, -1, 0, 65535])
@pytest.mark.parametrize("count", [2, 32767, 32768, 65535, 65536])
def test_tables_of_any_size_and_start_can_be_written(first: int, count: int) -> None:
    entries = np.arange(count, dtype=np.float64)
    shown = Grayscale((1.0, 0.0), Lookup(first, entries, max(count - 1.0, 1.0)), False, None, False)
    state = dcmread(BytesIO(write_presentation_state(case_of(full_source()), shown)))
    (table,) = state.SoftcopyVOILUTSequence[0].VOILUTSequence
    assert list(table.LUTDescriptor) == [count & 0xFFFF, first, 16]
    assert len(table.LUTData) == 2 * count


@given(st.tuples(*(st.floats(-1e300, 1e300) for _ in range(2)), st.floats(1, 1e300)))
def test_windows_of_any_numbers_can_be_written(numbers: tuple[float, float, float]) -> None:
    slope, centre, width = numbers
    shown = Grayscale((slope or 1.0, centre), Window(centre, width, "LINEAR"), False, None, False)
    assert dcmread(BytesIO(write_presentation_state(case_of(full_source()), shown))).Modality == "PR"
