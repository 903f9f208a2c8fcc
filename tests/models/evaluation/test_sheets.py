"""Contact sheets: which radiographs are on them, and what is drawn where."""

import argparse
import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.analysis import Analysis
from models.evaluation import command, sheets
from models.evaluation.sheets import CYAN, GROUPS, MOST, SIDE, YELLOW, caption, choose, overlay, plain, said
from models.pack import Case, Pack
from models.phantom import phantom_lungs
from models.pixels import Pixels
from models.quality import codes
from models.runtime.stage import Stage
from models.workflow import Workflow
from tests.models.packs import SIDE as PACK_SIDE
from tests.models.packs import write_pack
from tests.support.stubs import FixedMap

SIZE = 128
STEP = SIDE + 10
"""From one picture of a case to its next."""
BOX = (40, 60, 50, 30)
CHANGED = {
    "p000": {"label": "Pneumonia", "view": "AP", "boxes": ",".join(map(str, BOX)), "score": ""},
    "p001": {"score": ""},
    "p003": {"label": "Other", "view": "AP", "score": ""},
    "p006": {"label": "No finding", "view": "PA", "score": ""},
    "p009": {"label": "No finding", "view": "AP Supine", "score": ""},
}
SHOWN = {
    "healthy-adults": {"p005", "p011"},
    "bedside-without-opacity": {"p003", "p009"},
    "opacities": {"p000"},
    "covid-19": {"p001", "p004", "p007", "p010"},
    "children": {"p002", "p008"},
}
CALLED = {group.name: group for group in GROUPS}


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A pack with radiographs for every sheet, each of its own random squares, by which it is found again."""
    return Path(shutil.copytree(made, tmp_path / "pack"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_pack(tmp_path_factory.mktemp("made") / "pack")
    rewrite(root, lambda row: {"view": "", "boxes": "", **row, **CHANGED.get(row["id"], {})})
    for place, file in enumerate(sorted((root / "images").iterdir())):
        squares = np.random.default_rng(place).integers(40, 200, (10, 10), np.uint8)
        cv2.imwrite(str(file), np.kron(squares, np.ones((PACK_SIDE // 10, PACK_SIDE // 10), np.uint8)))
    return root


def rewrite(root: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    with (root / "table.csv").open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def workflow(diseased: bool) -> Workflow:
    """Finds the phantom's lungs on every radiograph, all of them diseased or nothing."""
    disease = np.full((SIZE, SIZE), diseased)
    return Workflow(Stage(FixedMap(phantom_lungs(SIZE)), SIZE), Stage(FixedMap(disease), SIZE), threshold=0.3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path, float | None]]:
    """Which weights and thresholds the command asks for; of ``sick.safetensors`` it gets one that marks all."""
    asked = []

    def load(options: argparse.Namespace, threshold: float | None) -> Workflow:
        asked.append((options.lungs, options.disease, threshold))
        return workflow(options.disease.name == "sick.safetensors")

    monkeypatch.setattr(command, "_workflow", load)
    return asked


def write(root: Path, out: Path, *more: str) -> int:
    return command.main(["sheets", "--data", str(root), "--split", "all", "--out", str(out), *more])


def read(out: Path, name: str) -> Pixels:
    return np.asarray(cv2.imread(str(out / f"{name}.jpg")), np.uint8)


def place(sheet: Pixels, case: Case) -> tuple[int, int] | None:
    """Row and column of the plain radiograph's corner; None where it is not on the sheet."""
    grays = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (sheet, plain(case))]
    alike = cv2.matchTemplate(*grays, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(alike.argmax()), alike.shape)
    return (int(row), int(column)) if alike.max() > 0.98 else None


def cut(sheet: Pixels, case: Case, step: int) -> Pixels:
    """A case's picture on the sheet, int32: 0 plain, 1 the first pair's, 2 the second's."""
    found = place(sheet, case)
    assert found is not None
    row, column = found[0], found[1] + step * STEP
    return sheet[row : row + SIDE, column : column + SIDE].astype(np.int32)


def redness(picture: Pixels) -> float:
    return float((picture[..., 2] - picture[..., 1]).mean())


@pytest.mark.usefixtures("asked")
def test_each_sheet_shows_its_group_in_the_drawn_order(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "sheets"
    assert write(root, out, "--seed", "3") == 0
    assert capsys.readouterr().out.splitlines() == [str(out / f"{name}.jpg") for name in SHOWN]
    cases = Pack(root).cases
    for name, ids in SHOWN.items():
        sheet = read(out, name)
        places = {case.id: found for case in cases if (found := place(sheet, case))}
        assert set(places) == ids
        drawn = [case.id for case in choose(CALLED[name], cases, 40, 3)]
        assert sorted(places, key=lambda name: places[name]) == drawn


@pytest.mark.parametrize(("pairs", "across"), [(1, 4), (2, 2)])
def test_rows_are_filled_one_after_the_other(root: Path, pairs: int, across: int) -> None:
    rewrite(root, lambda row: {**row, "label": "COVID-19"})
    cases = choose(CALLED["covid-19"], Pack(root), 9, 0)
    sheet = sheets.draw_sheet("", cases, [workflow(False)] * pairs)
    places = [place(sheet, case) for case in cases]
    assert None not in places
    rows = [found[0] for found in places if found]
    assert rows == sorted(rows)
    assert [rows.count(row) for row in sorted(set(rows))] == [across] * (9 // across) + [1]


def test_a_draw_is_the_same_each_time_and_has_no_repeats(root: Path) -> None:
    cases = list(Pack(root))
    group = CALLED["covid-19"]
    drawn = choose(group, cases, 40, 0)
    assert choose(group, reversed(cases), 40, 0) == drawn
    assert choose(group, cases, 2, 0) == drawn[:2]
    assert len({case.id for case in drawn}) == len(drawn) == 4
    orders = {tuple(case.id for case in choose(group, cases, 40, seed)) for seed in range(20)}
    assert len(orders) > 3
    assert {order[-1] for order in orders} == {"p001"}, "the one without a score comes last"


@pytest.mark.usefixtures("asked")
def test_two_calls_write_the_same_bytes(root: Path, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        assert write(root, tmp_path / name, "--count", "2") == 0
        written.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert len(written[0]) == len(GROUPS)
    assert written[0] == written[1]


def test_two_pairs_stand_side_by_side(root: Path, tmp_path: Path, asked: list[tuple[Path, Path, float | None]]) -> None:
    first = ["--lungs", "first.safetensors", "--disease", "well.safetensors", "--threshold", "0.2"]
    assert write(root, tmp_path, *first, "--other-disease", "sick.safetensors") == 0
    lungs = Path("first.safetensors")
    assert asked == [(lungs, Path("well.safetensors"), 0.2), (lungs, Path("sick.safetensors"), 0.2)]
    (case,) = choose(CALLED["healthy-adults"], Pack(root), 1, 0)
    pictures = [cut(read(tmp_path, "healthy-adults"), case, step) for step in range(3)]
    reds = [redness(picture) for picture in pictures]
    assert abs(reds[0]) < 1
    assert reds[2] > reds[1] + 10
    assert np.abs(pictures[1] - pictures[0]).mean() > 1, "the lungs' outline at least"


@pytest.mark.usefixtures("asked")
def test_a_box_is_drawn_where_it_was_drawn_and_not_on_the_plain_radiograph(root: Path, tmp_path: Path) -> None:
    assert write(root, tmp_path) == 0
    (case,) = choose(CALLED["opacities"], Pack(root), 1, 0)
    bare, marked = (cut(read(tmp_path, "opacities"), case, step) for step in (0, 1))
    left, top, width, height = (round(side * SIDE / PACK_SIDE) for side in BOX)
    edge = np.concatenate([marked[top, left : left + width], marked[top : top + height, left]])
    assert np.abs(edge - YELLOW).mean() < 25
    assert np.abs(bare[top, left : left + width] - YELLOW).mean() > 60


def test_a_box_keeps_its_place_on_a_radiograph_of_another_shape(root: Path) -> None:
    cv2.imwrite(str(root / "images" / "p000.jpg"), np.zeros((100, 200), np.uint8))
    case = Pack(root).cases[0]
    picture = overlay(case, workflow(False).analyse(case.pixels))
    assert picture.shape == (128, 256, 3)
    rows, columns = np.nonzero((picture == YELLOW).all(axis=2))
    # 1.28 times as large: from 40, 60 to 90, 90, the last pixel of each within the box.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (51, 114, 77, 114)
    assert len(rows) == 2 * (114 - 51) + 2 * (114 - 77)


def test_lungs_are_outlined_and_disease_is_tinted_within_them(root: Path) -> None:
    case = next(case for case in Pack(root) if not case.boxes)
    analysis = workflow(True).analyse(case.pixels)
    picture, bare = overlay(case, analysis), plain(case)
    lungs = cv2.resize(analysis.lungs.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    inner = cv2.erode(lungs, np.ones((7, 7))) > 0
    outer = cv2.dilate(lungs, np.ones((7, 7))) > 0
    cyan = (picture == CYAN).all(axis=2)
    assert cyan.sum() > 400
    assert not cyan[inner].any() and not cyan[~outer].any()
    redder = picture[..., 2].astype(int) - picture[..., 1]
    assert redder[inner].min() > 40
    assert np.array_equal(picture[~outer], bare[~outer])


@pytest.mark.usefixtures("asked")
def test_a_group_without_radiographs_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(root, lambda row: {**row, "age_group": "child"})
    assert write(root, tmp_path / "out") == 0
    assert capsys.readouterr().err == "healthy-adults: no radiographs of the split 'all', no sheet\n"
    names = {file.stem for file in (tmp_path / "out").iterdir()}
    assert names == set(SHOWN) - {"healthy-adults"}


def test_a_pack_with_nothing_to_show_is_refused_before_weights_are_read(
    root: Path, tmp_path: Path, asked: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(root, lambda row: {**row, "split": "test"})
    assert command.main(["sheets", "--data", str(root), "--out", str(tmp_path / "out")]) == 2
    assert "of the split 'val', found none for any sheet" in capsys.readouterr().err
    assert asked == [] and not (tmp_path / "out").exists()


@pytest.mark.usefixtures("asked")
def test_several_packs_share_a_sheet(root: Path, tmp_path: Path) -> None:
    second = write_pack(tmp_path / "second", count=3)
    rewrite(second, lambda row: {**row, "id": row["id"].replace("p", "q")})
    for file in (second / "images").iterdir():
        file.rename(file.with_name(file.name.replace("p0", "q0")))
    assert command.main(["sheets", "--data", str(root), str(second), "--split", "all", "--out", str(tmp_path)]) == 0
    sheet = read(tmp_path, "children")
    assert {case.id for case in Pack(root, second) if case.is_normal and place(sheet, case)} == {"p002", "p008", "q002"}


@pytest.mark.parametrize("count", ["0", str(MOST + 1), "some"])
def test_a_count_that_no_sheet_holds_is_refused(root: Path, tmp_path: Path, count: str) -> None:
    with pytest.raises(SystemExit):
        write(root, tmp_path / "out", "--count", count)


def analysis(score: int | None, shares: tuple[float, ...], label: float | None, flags: tuple[str, ...]) -> Analysis:
    found = workflow(False).analyse(np.zeros((SIZE, SIZE), np.uint8))
    return replace(found, score=score, shares=shares, disease_probability=label, flags=flags)


def test_captions_say_what_people_and_weights_found(root: Path) -> None:
    cases = {case.id: case for case in Pack(root)}
    assert caption(cases["p000"]) == ["p000"]
    assert caption(cases["p004"]) == ["p004", "readers 4 (4 and 3)"]
    shares = (0.51, 0.2, 0.0, 1.0, 0.049, 0.1)
    assert said(analysis(2, shares, 0.98, ("borderline",))) == [
        "score 2   P(disease) 0.98",
        "R 0/20/51   L 10/5/100 %",
        "borderline",
    ]
    assert said(analysis(None, (nan,) * 3 + shares[3:], None, ())) == ["score -", "R -/-/-   L 10/5/100 %"]


def test_captions_fit_under_their_picture() -> None:
    flags = tuple(code for name, code in vars(codes).items() if name.isupper() and isinstance(code, str))
    lines = said(analysis(6, (1.0,) * 6, 1.0, flags))
    assert len(lines) > 5
    assert " ".join(lines[2:]) == ", ".join(flags)
    widths = [cv2.getTextSize(line, sheets._FONT, sheets._FONT_SCALE, 1)[0][0] for line in lines]
    assert max(widths) <= SIDE
