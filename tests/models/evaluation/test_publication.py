import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.evaluation.command import main
from models.evaluation.outputs import OutputsError, read_outputs
from models.evaluation.publication import Publication, report
from models.evaluation.sweep import THRESHOLDS, count_zones, sweep
from tests.models.evaluation.tables import LINKNET, MANET, output_row, write_outputs

FEW = 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two networks over four COVID-19 radiographs and four normals; MA-Net errs by one on one of each."""
    ill = {"score_r": 2.0, "score_d": 3.0, "consensus": 2.5, "bsnet": 6, "covidnet": 3}
    zones = {f"lung_segment_{zone}": 0.9 for zone in (1, 2)}
    subsets = ("train", "val", "test", "test")
    manet = [output_row(index, subset=subset, **ill, score=2, **zones) for index, subset in enumerate(subsets)]
    manet[3] |= {"score": "4", "lung_segment_3": "0.5", "lung_segment_4": "0.35", "score_d": "", "consensus": "2.0"}
    normal = {"dataset": "rsna_normal", "label": "Normal", "bsnet": 5}
    manet += [output_row(4 + index, subset=subset, **normal) for index, subset in enumerate(subsets)]
    manet[7] |= {"score": "1", "lung_segment_6": "0.4"}
    linknet = [{**row, "score": "0", **{f"lung_segment_{zone}": "0" for zone in range(1, 7)}} for row in manet]
    return write_outputs(tmp_path / "outputs", {MANET: manet, LINKNET: linknet})


def test_shares_are_counted_strictly_over_the_threshold() -> None:
    shares = [[0.3, 0.31, 0.3100001, 0.0, 0.0, 1.0]]
    assert count_zones(shares, 0.31).tolist() == [2]
    assert count_zones(shares, 1.0).tolist() == [0]


def test_a_sweep_finds_the_threshold_that_made_the_scores() -> None:
    rng = np.random.default_rng(0)
    shares = rng.random((200, 6))
    found = sweep(shares, count_zones(shares, 0.42))
    assert found.best == 0.42
    assert found.at(0.42) == 0
    assert (found.errors[THRESHOLDS != 0.42] > 0).all()


def test_the_figures_of_a_small_table(folder: Path) -> None:
    found = Publication(read_outputs(folder), resamples=FEW)
    outputs = found.outputs
    assert found.judged.sum() == 4
    everything = found.agreements(found.judged)
    assert list(everything) == ["COVID-Net-S", "MA-Net", "Linknet", "BS-Net"], "the least error first"
    # MA-Net is off by 0.5 and 2 on COVID-19, by 0 and 1 on the normals.
    assert everything["MA-Net"].mae.value == pytest.approx(3.5 / 4)
    ill = found.agreements(found.judged & ~outputs.is_normal)
    assert ill["MA-Net"].mae.value == pytest.approx(1.25)
    assert ill["BS-Net"].mae.value == pytest.approx(3.75)
    assert found.agreements(found.judged & outputs.is_normal)["MA-Net"].mae.value == pytest.approx(0.5)
    # One reader only scored the other COVID-19 radiograph; the normals do not count as read.
    between = found.between_readers()
    assert (between.count, between.mae.value) == (1, 1)
    assert found.recounted() == {"MA-Net": 0, "Linknet": 0}
    swept = found.sweeps()["MA-Net"]
    assert swept.at(0.31) == pytest.approx(0.25), "train and val alone: 0.5 on two of four"
    assert swept.best == 0.0


def test_a_score_that_is_not_the_count_of_shares_is_told(folder: Path) -> None:
    file = folder / f"{MANET}.csv"
    file.write_text(file.read_text().replace(",0.35,", ",0.30,"))
    assert Publication(read_outputs(folder), resamples=FEW).recounted() == {"MA-Net": 1, "Linknet": 0}


def test_the_report_has_every_table(folder: Path) -> None:
    text = report(Publication(read_outputs(folder), subsets=("val", "test"), resamples=FEW))
    assert "Subset val, test: 6 radiographs, 3 COVID-19, 3 normal." in text
    assert re.search(r"\| MA-Net \| 3 \| 1\.000 \(", text)
    assert "| reader 2 against reader 1 | 2 | 1.000" in text
    assert "| the other reader | – |" in text
    assert "rsna_normal, n = 3" in text
    assert "| MA-Net | 0.31 |" in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("consensus", "consent"), "expected the columns consensus"),
        (lambda text: text.replace("0.35", "much"), "expected numbers in lung_segment_4"),
        (lambda text: text.replace("3.jpg", "x.jpg"), "in the same order, found others"),
        (lambda text: text.splitlines()[0] + "\n", "expected radiographs, found none"),
    ],
    ids=["a column", "a number", "the order", "no rows"],
)
def test_what_is_wrong_with_a_table_is_said(folder: Path, damage: object, message: str) -> None:
    file = folder / f"{MANET}.csv"
    file.write_text(damage(file.read_text()))  # type: ignore[operator]
    with pytest.raises(OutputsError, match=message):
        read_outputs(folder)


def test_a_table_of_no_published_network_is_refused(folder: Path) -> None:
    (folder / f"{MANET}.csv").rename(folder / "results.csv")
    with pytest.raises(OutputsError, match="the name of a published checkpoint, found 'results'"):
        read_outputs(folder)


def test_the_command_prints_and_draws(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["published", "--data", str(folder), "--resamples", str(FEW), "--plots", str(tmp_path / "plots")]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert main(asked) == 0
    assert capsys.readouterr().out == printed, "the same seed, the same figures"
    assert "### COVID-19 alone, 2" in printed
    for name in ("evaluation-thresholds", "evaluation-errors"):
        assert (tmp_path / "plots" / f"{name}.svg").read_text().startswith("<svg")
    assert main([*asked, "--check"]) == 1
    assert "not the paper's: Linknet, MA-Net, BS-Net, COVID-Net-S" in capsys.readouterr().err
    assert main(["published", "--data", str(tmp_path / "plots")]) == 2
    assert "expected published outputs" in capsys.readouterr().err


def test_without_the_extra_the_command_says_what_to_install() -> None:
    hidden = (
        "import sys, runpy; sys.modules['scipy'] = None; runpy.run_module('models.evaluation', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "pip install 'cxr-severity[evaluation]'" in done.stderr
