"""A small pair from a larger one's answers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.pack import Pack, PackError
from models.runtime.stage import Stage
from models.training.__main__ import main
from models.training.distillation import (
    DistilledBatches,
    Taught,
    distillation_loss,
    read_folder,
    teach_disease,
    teach_lungs,
)
from models.weights import default_weights
from models.weights.cards import read_card
from models.workflow import Workflow
from tests.models.checkpoints import load_in_pytorch
from tests.models.packs import SIDE, write_pack
from tests.support.stubs import BrightIsDisease, FixedMap

GRAY = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return Pack(write_pack(tmp_path_factory.mktemp("pack"), count=6))


def test_a_folder_is_read_with_those_below_it(tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    cv2.imwrite(str(tmp_path / "b.png"), np.full((80, 90), 7, np.uint8))
    cv2.imwrite(str(tmp_path / "ward" / "A.PNG"), np.full((70, 60), 9, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    assert [pixels.shape for pixels in read_folder(tmp_path)] == [(80, 90), (70, 60)]


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="expected pictures"):
        read_folder(tmp_path)


def test_the_lungs_are_the_teachers(pack: Pack, lungs: Stage) -> None:
    (taught,) = teach_lungs(lungs, [pack.cases[0].pixels], SIDE)
    drawn = cv2.resize(pack.cases[0].lungs.astype(np.uint8), (SIDE, SIDE)) > 0
    assert np.mean((taught.map > 127) == drawn) > 0.99
    assert set(np.unique(taught.map)) <= {round(255 * 0.01), round(255 * 0.99)}


def test_disease_is_taught_on_what_stage_two_sees(pack: Pack, lungs: Stage) -> None:
    radiographs = [pack.cases[0].pixels, pack.cases[1].pixels]
    found = teach_disease(Stage(BrightIsDisease(), input_size=96), lungs, radiographs)
    assert len(found) == 2
    for item in found:
        assert item.picture.shape == item.map.shape
        assert (item.picture == 0).any()


def test_what_the_teachers_label_rules_out_is_taught_as_free(pack: Pack, lungs: Stage) -> None:
    radiographs = [np.full_like(pack.cases[0].pixels, 250)]
    (diseased,) = teach_disease(Stage(BrightIsDisease(label=0.9), input_size=96), lungs, radiographs)
    (free,) = teach_disease(Stage(BrightIsDisease(label=0.1), input_size=96), lungs, radiographs)
    assert diseased.map.max() > 200
    assert not free.map.any()


def test_a_radiograph_without_lungs_teaches_nothing(pack: Pack) -> None:
    blind = Stage(FixedMap(np.zeros((SIDE, SIDE), bool)), input_size=SIDE)
    assert teach_disease(Stage(BrightIsDisease(), input_size=96), blind, [pack.cases[0].pixels]) == []


def taught(count: int) -> list[Taught]:
    picture = np.zeros((50, 40), np.uint8)
    picture[5:45, 5:35] = 90
    return [Taught(picture, np.where(picture > 0, 200, 0).astype(np.uint8))] * count


def test_batches_are_whole_and_seeded() -> None:
    batches = DistilledBatches(taught(11), 64, GRAY, GRAY, seed=1, masked=True)
    first, again, other = (list(batches(epoch)) for epoch in (0, 0, 1))
    assert [tuple(batch["image"].shape) for batch in first] == [(8, 3, 64, 64)] * 2
    assert len(batches) == 2
    torch.testing.assert_close(first[0]["image"], again[0]["image"])
    assert not torch.equal(first[0]["image"], other[0]["image"])


@pytest.mark.parametrize("masked", [True, False])
def test_what_was_cut_away_stays_black(masked: bool) -> None:
    black = [
        bool((batch["image"][0] == -1).any())
        for epoch in range(6)
        for batch in DistilledBatches(taught(2), 64, GRAY, GRAY, seed=0, masked=masked)(epoch)
    ]
    assert all(black) is masked


def test_one_radiograph_is_too_few() -> None:
    with pytest.raises(PackError, match="found 1"):
        DistilledBatches(taught(1), 64, GRAY, GRAY, seed=0, masked=False)


def test_the_loss_is_least_where_the_teacher_is() -> None:
    levels = torch.full((1, 1, 8, 8), 0.3)
    levels[..., :4] = 0.9
    agreeing = torch.logit(levels)
    assert distillation_loss(agreeing, {"map": levels}) < distillation_loss(agreeing + 1, {"map": levels})
    assert distillation_loss(agreeing, {"map": levels}) < distillation_loss(-agreeing, {"map": levels})


@pytest.mark.slow
def test_a_folder_becomes_a_pair_that_serves(pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["distil", "--images", str(pack.cases[0].root / "images"), "--out", str(tmp_path)]
    assert main([*command, "--epochs", "1", "--input-size", "64", "--training-data", "Phantoms"]) == 0
    weights = [Path(line) for line in capsys.readouterr().out.splitlines()]
    cards = [read_card(path) for path in weights]
    assert [(card.role, card.input_size, card.training_data) for card in cards] == [
        ("lungs", 64, "Phantoms"),
        ("disease", 64, "Phantoms"),
    ]
    assert cards[1].threshold == read_card(default_weights("disease")).threshold
    pair = (load_in_pytorch(path, card.role) for path, card in zip(weights, cards, strict=True))
    assert len(Workflow(*pair).analyse(pack.cases[0].pixels).shares) == 6
