from dataclasses import dataclass, replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from models.evaluation import acceptance, page
from models.evaluation.cases import read_cases, write_cases
from models.evaluation.command import main
from models.evaluation.subjects import Subject
from models.pack import Case, Pack, PackError
from tests.models.evaluation.tables import write_scored_pack

FEW = 50


@dataclass(frozen=True, eq=False)
class Opinion:
    """What somebody says of a radiograph; see ``models.evaluation.results.Analysed``."""

    score: int | None
    shares: tuple[float, ...]
    threshold: float
    flags: tuple[str, ...]
    lungs: np.ndarray
    disease: np.ndarray
    score_range: tuple[int, int] | None = None
    diseased_share: float | None = None


SHARES = {"COVID-19": (0.9, 0.5, 0.0, 0.8, 0.4, 0.0), "Normal": (0.0,) * 6}


def _expert(case: Case) -> Opinion:
    """Says what the pack says, one point short; has no score for the first radiograph."""
    lungs = case.lungs
    disease = case.disease if case.has_disease else np.zeros_like(lungs)
    if case.id == "p000":
        return Opinion(None, (nan,) * 6, nan, ("single_lung",), lungs, disease)
    score = 0 if case.is_normal else 3
    flags, scores = (("borderline",), (2, 4)) if score else ((), (0, 0))
    return Opinion(score, SHARES[case.label], 0.3, flags, lungs, disease, scores)


EXPERT = Subject({"Who": "an <expert>"}, _expert)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return Pack(write_scored_pack(tmp_path / "pack"))


class _Page(HTMLParser):
    """What a page would fetch or run, and whether its elements close."""

    VOID = frozenset({"meta", "img", "path", "use", "rect", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe")
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def _read_page(text: str) -> _Page:
    parser = _Page()
    parser.feed(text)
    assert parser.open == []
    return parser


def test_figures_of_a_made_up_pack(pack: Pack) -> None:
    found = acceptance.accept(EXPERT, pack.cases, "all", FEW, 0)
    assert found.scored == pytest.approx(11 / 12)
    assert found.severity["COVID-19"].count == 7
    assert found.severity["COVID-19"].mae.value == pytest.approx(1)
    assert found.severity["COVID-19"].bias.value == pytest.approx(-1)
    assert found.severity["healthy adults"].mae.value == found.severity["healthy children"].mae.value == 0
    assert "opacities" not in found.severity, "nobody scored any"
    assert found.readers.mae.value == pytest.approx(1)
    assert found.systems["BS-Net"].mae.value == pytest.approx(1)
    assert (found.ranges.count, found.ranges.held, found.ranges.width) == (7, 1, 2)
    assert (found.ranges.wide_error, isnan(found.ranges.narrow_error)) == (1, True)
    assert found.lungs is not None and found.lungs.mean.value == 1
    assert found.disease is not None and (found.disease.count, found.disease.mean.value) == (4, 1)
    assert found.flags == {"single_lung": 1, "borderline": 7}
    # Ours on the same radiographs: the one without a score is left out of both.
    assert found.systems["BS-Net"].count == found.severity["COVID-19"].count
    assert not found.passes
    assert found.verdict.startswith("Failed: ") and "severity MAE, COVID-19" in found.verdict
    assert "healthy adults" not in found.verdict
    assert "| healthy adults, mean score | 2 | 0.000 |" in acceptance.summary(found)
    views = {one.name: one for one in found.subgroups["view"]}
    assert (views["AP"].count, views["AP"].scored) == (6, pytest.approx(5 / 6))
    groups = {one.name: one for one in found.subgroups["group"]}
    assert list(groups) == ["healthy adults", "COVID-19", "healthy children"]
    assert (groups["COVID-19"].mean_score, groups["COVID-19"].over) == (3, 1)
    assert (groups["healthy adults"].mean_score, groups["healthy adults"].over) == (0, 0)
    assert found.subgroups["age group"][0].name == "not recorded"
    printed = acceptance.summary(found)
    assert "| COVID-19 | 8 | 0.875 | 3.00 | 1.000 | 1.00 (1.00 to 1.00) |" in printed
    assert "| AP | 6 | 0.833 |" in printed
    assert found.brixia is not None and found.brixia.radiographs == 11
    assert found.brixia.right.value > found.brixia.upside_down.value
    (worst, why), (_, reason) = found.worst(2)
    assert (worst.case.id, why) == ("p000", "no score")
    assert reason == "score off by 1"
    counts = acceptance.score_counts(found.results)
    assert (counts[3, 8], counts[0, 0], counts.sum()) == (7, 4, 11)


def test_the_report_is_one_file_that_fetches_nothing(pack: Pack) -> None:
    found = acceptance.accept(EXPERT, pack.cases, "all", FEW, 0)
    text = page.render(found, EXPERT, worst=3)
    read = _read_page(text)
    assert all(source.startswith(("data:image/", "#")) for source in read.sources)
    assert sum(source.startswith("data:image/jpeg;base64,") for source in read.sources) == 3
    assert "Research use only. Not a medical device." in text
    assert "an &lt;expert&gt;" in text
    assert "On 7 COVID-19 radiographs the range of scores holds the consensus, rounded either way, in 100%" in text
    assert "Failed: " in text
    assert text.count("<td>p0") == 12, "every case has its row"
    for title in (
        "Bars of the embedded default",
        "Every case",
        "Severity",
        "Masks",
        "Zone by zone",
        "Calibration",
        "Subgroups",
        "Quality flags",
        "Worst cases",
    ):
        assert f"<h2>{title}" in text
    assert page.render(found, EXPERT, worst=3) == text, "the same figures, the same file"


def test_a_pack_of_nothing_but_radiographs_still_gets_a_report(tmp_path: Path) -> None:
    root = write_scored_pack(tmp_path / "pack")
    (root / "table.csv").write_text("id,split,label\np001,val,\np002,val,\n")
    cases = Pack(root).cases
    assert cases[0].score is None and cases[0].readers == () and cases[0].view == ""
    nobody = Subject({}, lambda case: Opinion(2, (0.5,) * 6, 0.3, (), case.pixels > 0, case.pixels > 99))
    found = acceptance.accept(nobody, cases, "val", FEW, 0)
    assert found.brixia is None and found.lungs is None and found.severity == {}
    assert {line.verdict for line in found.bars if "adults" in line.name} == {"not applicable"}
    text = page.render(found, nobody, worst=3)
    _read_page(text)
    assert ">nan<" not in text
    assert acceptance.NO_SCORES in unescape(text)
    assert acceptance.NO_SCORES in acceptance.summary(found)


def test_a_table_of_files_and_scores_is_enough(tmp_path: Path) -> None:
    root = write_scored_pack(tmp_path / "pack")
    (root / "images" / "p001.jpg").rename(root / "one more.jpg")
    (root / "table.csv").write_text("\ufefffile,score\none more.jpg,2\np002.jpg,\n", encoding="utf-8")
    cases = Pack(root).split("held-out")
    assert [(case.id, case.score, case.split) for case in cases] == [("one more.jpg", 2, ""), ("p002.jpg", None, "")]
    assert all(case.pixels.ndim == 2 for case in cases)
    two = Subject({}, lambda case: Opinion(2, (0.5,) * 6, 0.3, (), case.pixels > 0, case.pixels > 99))
    found = acceptance.accept(two, cases, "held-out", FEW, 0)
    assert found.severity["all scored by readers"].count == 1
    assert found.verdict.startswith("Passed: 1 of 13 bars apply to these radiographs")
    assert found.verdict in acceptance.summary(found) and found.verdict in page.render(found, two, worst=1)
    (root / "table.csv").write_text("id,file\np002,what it was called.jpg\n")
    assert Pack(root).cases[0].pixels.ndim == 2, "where there is an id, it names the picture"
    (root / "table.csv").write_text("file,score\nnone.jpg,2\n")
    with pytest.raises(PackError, match=r"none\.jpg: expected a picture"):
        _ = Pack(root).cases[0].pixels


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("picture,score\na.jpg,2\n", r"expected a column id \(the name of each picture .* or file \(.*found picture"),
        ("file,score\na.jpg,7\n", r"line 2: expected a score of 0 to 6, found '7'"),
        ("file,score\na.jpg,1\nb.jpg,nan\n", r"line 3: expected a score of 0 to 6, found 'nan'"),
        ("file,score\na.jpg,mild\n", r"line 2: expected a score of 0 to 6, found 'mild'"),
        ("file,score\n,1\n", r"line 2: expected id or file, found neither"),
        ("file,score\na.jpg,1\na.jpg,2\n", r"expected each radiograph once, found 'a\.jpg' twice"),
        ("file,score,note\na.jpg,1,m\xe4ssig\n", r"table\.csv: expected UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "table.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(PackError, match=said):
        Pack(tmp_path)


def test_two_acceptances_are_compared_radiograph_by_radiograph(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_higher(case: Case) -> Opinion:
        said = _expert(case)
        return said if said.score is None else replace(said, score=said.score + 1)

    for name, analyse in (("first", _expert), ("second", one_higher)):
        found = acceptance.accept(Subject({}, analyse), pack.cases, "all", FEW, 0)
        write_cases(tmp_path / f"{name}.csv", found.results)
    again = read_cases(tmp_path / "first.csv")
    assert len(again) == 12 and isnan(again["p000"]["score"])
    assert again["p001"]["score"] == 3 and again["p001"]["consensus"] == 4
    tables = [str(tmp_path / f"{name}.csv") for name in ("first", "second")]
    assert main(["compare", *tables, "--resamples", str(FEW)]) == 0
    printed = capsys.readouterr().out
    assert f"First: {tables[0]}; second: {tables[1]}." in printed
    assert "12 radiographs in both tables; 0 of 11 that both scored have the same score; 1 have none" in printed
    # COVID-19 one short, then right (7); normals right, then one over (4).
    assert "| severity error | 11 | 0.636 " in printed
    assert "| score | 11 | 1.909 (" in printed and "| 1.000 (1.000 to 1.000) |" in printed
    assert main(["compare", tables[0], str(pack.cases[0].root / "table.csv")]) == 2
    assert "expected the columns" in capsys.readouterr().err


def test_help_says_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["weights", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "all: every radiograph (default: held-out)" in said
    assert "(default: 12)" in said and "of the bootstrap (default: 0)" in said
    assert "None" not in said and "False" not in said


def test_a_radiograph_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = write_scored_pack(tmp_path / "pack")
    (root / "images" / "p000.jpg").unlink()
    with pytest.raises(PackError, match=r"p000: expected a picture \(\.jpg"):
        _ = Pack(root).cases[0].pixels


@pytest.mark.slow
def test_weights_from_pack_to_report(pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "reports" / "weights.html"
    asked = ["weights", "--data", str(pack.cases[0].root), "--split", "val", "--resamples", str(FEW), "--out", str(out)]
    assert main([*asked, "--device", "cpu", "--worst", "2"]) == 0
    printed = capsys.readouterr().out
    assert "share of radiographs scored | 3 |" in printed
    assert "Of the card's own cross-validation" in printed
    text = out.read_text()
    _read_page(text)
    assert f"<dt>Date</dt><dd>{date.today():%Y-%m-%d}</dd>" in text
    assert f"<dt>Data</dt><dd>{pack.cases[0].root}</dd>" in text
    assert len(read_cases(out.with_suffix(".csv"))) == 3
    # A made-up pack is far from the bars.
    assert main([*asked, "--device", "cpu", "--check"]) == 1
    assert main(["weights", "--data", str(pack.cases[0].root), "--split", "elsewhere"]) == 2
    assert "of the split 'elsewhere', found none" in capsys.readouterr().err
