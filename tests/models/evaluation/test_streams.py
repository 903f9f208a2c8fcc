"""The alert's rule over a pack's streams, and that it is the alert's."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.evaluation.command import main as evaluate
from models.evaluation.streams import STREAMS, drift, report
from models.quality.drift import DISEASE_MEASURES, DISTANCE_LIMIT, LEAST_COUNT, LUNG_MEASURES, reference
from models.training.__main__ import main as train
from models.weights import default_weights
from models.weights.cards import read_card
from tests.models.packs import write_pack
from tests.support import ROOT

RULES = ROOT / "docker" / "prometheus" / "rules.yml"
KNOWN = reference([{"brightness": value} for value in np.linspace(0.3, 0.7, 200)])


def measured(low: float, high: float) -> list[dict[str, float]]:
    return [{"brightness": value} for value in np.linspace(low, high, 80)]


@pytest.mark.parametrize(("low", "high", "rang"), [(0.3, 0.7, 0.0), (0.55, 0.95, 1.0)])
def test_a_stream_rings_where_it_is_another(low: float, high: float, rang: float) -> None:
    found = drift(STREAMS[0], measured(low, high), KNOWN, size=100, samples=50, seed=0)
    assert found.rang == rang
    assert found.radiographs == 80
    assert (found.distances["brightness"] > DISTANCE_LIMIT) is bool(rang)


def test_a_measure_that_the_reference_lacks_is_not_judged() -> None:
    strange = [{"brightness": item["brightness"], "warmth": 1.0} for item in measured(0.3, 0.7)]
    assert set(drift(STREAMS[0], strange, KNOWN, size=100, samples=5, seed=0).distances) == {"brightness"}


def test_the_table_names_streams_and_measures() -> None:
    found = drift(STREAMS[0], measured(0.3, 0.7), KNOWN, size=100, samples=5, seed=0)
    assert report([found], 100).splitlines()[0] == "| stream | radiographs | brightness | samples of 100 that ring |"
    assert report([found], 100).splitlines()[-1].startswith("| reshuffled | 80 | 0.")


def test_the_alert_has_the_same_limits() -> None:
    (alert,) = (
        rule
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "InputsDrift"
    )
    numbers = [float(number) for number in re.findall(r">=? ([\d.]+)", alert["expr"])]
    assert numbers == [DISTANCE_LIMIT, LEAST_COUNT]


def test_a_site_writes_its_own_reference_and_is_held_against_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = write_pack(tmp_path / "pack", count=4)
    weights = []
    for role in ("lungs", "disease"):
        source = default_weights(role)
        for path in source.parent.glob(f"{role}.*"):
            shutil.copy(path, tmp_path)
        weights += [f"--{role}", str(tmp_path / source.name)]
    assert train(["reference", "--data", str(pack), "--split", "all", *weights]) == 0
    cards = [read_card(tmp_path / default_weights(role).name) for role in ("lungs", "disease")]
    assert [set(card.reference) for card in cards] == [set(LUNG_MEASURES), set(DISEASE_MEASURES)]
    assert cards[0].reference != read_card(default_weights("lungs")).reference
    size = ["--size", "20", "--samples", "20"]
    evaluate(["drift", "--data", str(pack), "--split", "all", *weights, *size, "--device", "cpu"])
    table = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [stream.name for stream in STREAMS]
    # Half of the pack is diseased and half is not; the phantoms are alike in all else.
    assert table.splitlines()[2].rstrip(" |").endswith("0.0%")
