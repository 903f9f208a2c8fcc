import json
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.checkpoints import ModelCard, save_checkpoint
from models.networks import build_network
from models.pack import Case, Pack, PackError, patient_folds
from models.stage import Stage
from models.training.__main__ import main
from models.training.crossvalidation import SHIFTS, Choice, HeldOut, choose, hold_out, shift_logits
from models.training.disease import BATCH_SHARE, DiseaseBatches, disease_loss
from models.training.encoders import StartError, start_from_imagenet
from models.training.fitting import Schedule, fit
from models.training.lungs import LungBatches, lung_loss
from models.training.recipes import calibrate_disease
from tests.models.packs import SIDE, write_pack
from tests.support.stubs import FixedMap

GRAY = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return Pack(write_pack(tmp_path_factory.mktemp("pack")))


@pytest.fixture(scope="module")
def drawn_lungs(pack: Pack) -> Stage:
    """A stage I that answers the phantom's own lungs."""
    return Stage(FixedMap(pack.cases[0].lungs), input_size=SIDE)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))


def test_a_run_that_was_cut_off_ends_with_the_same_weights(pack: Pack, tmp_path: Path) -> None:
    batches = LungBatches(pack.cases, 64, GRAY, GRAY, count=2, batch_size=4, seed=3)
    schedule, device = Schedule(epochs=4, batches=2, rate=1e-2, seed=3), torch.device("cpu")
    whole = fit(small_network(), batches, lung_loss, schedule, tmp_path / "whole", device)

    class Stopped(Exception):
        """Stands for a power cut in the third epoch."""

    def until_third(epoch: int) -> object:
        if epoch == 2:
            raise Stopped
        return batches(epoch)

    with pytest.raises(Stopped):
        fit(small_network(), until_third, lung_loss, schedule, tmp_path / "cut", device)
    gone_on = fit(small_network(), batches, lung_loss, schedule, tmp_path / "cut", device)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(gone_on.state_dict()[name], tensor)
    history = [json.loads(line) for line in (tmp_path / "cut" / "history.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_state_of_another_schedule_is_not_gone_on_with(pack: Pack, tmp_path: Path) -> None:
    batches = LungBatches(pack.cases, 64, GRAY, GRAY, count=1, batch_size=2, seed=0)
    schedule = Schedule(epochs=1, batches=1)
    fit(small_network(), batches, lung_loss, schedule, tmp_path, torch.device("cpu"))
    with pytest.raises(ValueError, match="expected the state of"):
        fit(small_network(), batches, lung_loss, replace(schedule, epochs=2), tmp_path, torch.device("cpu"))


def test_batches_are_seeded(pack: Pack, drawn_lungs: Stage) -> None:
    lungs = LungBatches(pack.cases, 64, GRAY, GRAY, count=1, batch_size=4, seed=1)
    disease = DiseaseBatches(pack.cases, drawn_lungs, 64, GRAY, GRAY, count=1, seed=1)
    for batches in (lungs, disease):
        first, again, other = (next(iter(batches(epoch))) for epoch in (0, 0, 1))
        torch.testing.assert_close(first["image"], again["image"])
        assert not torch.equal(first["image"], other["image"])


def test_a_disease_batch_is_made_up_of_all_kinds_and_masked_outside_the_lungs(pack: Pack, drawn_lungs: Stage) -> None:
    (batch,) = DiseaseBatches(pack.cases, drawn_lungs, 64, GRAY, GRAY, count=1, seed=0)(0)
    assert len(batch["image"]) == sum(BATCH_SHARE.values())
    assert batch["masked"].sum() == BATCH_SHARE["masked"]
    without_mask = batch["masked"] == 0
    assert not batch["shares"][without_mask].isnan().any()
    assert batch["shares"][~without_mask].isnan().all()
    outside = batch["zones"] == 0
    # The bicubic edge aside, all outside the lungs is black.
    assert (batch["image"][:, 0][outside] <= -0.9).float().mean() > 0.8
    assert set(batch["zones"].unique().tolist()) == set(range(7))


def test_the_disease_loss_rewards_the_truth(pack: Pack, drawn_lungs: Stage) -> None:
    (batch,) = DiseaseBatches(pack.cases, drawn_lungs, 64, GRAY, GRAY, count=1, seed=0)(0)
    zones = batch["zones"][:, None]
    sure = torch.full_like(batch["disease"], -8.0)
    truth = torch.where(batch["disease"] > 0.5, 8.0, sure)
    # Where there is no mask, a share is met by filling that part of each zone.
    for index in torch.nonzero(batch["masked"] == 0).flatten():
        for zone in range(6):
            inside = torch.nonzero((zones[index, 0] == zone + 1).flatten()).flatten()
            wanted = inside[: round(float(batch["shares"][index, zone]) * len(inside))]
            truth[index].view(-1)[wanted] = 8.0
    good, bad = disease_loss(truth, batch), disease_loss(-truth, batch)
    assert good < 0.5 * bad
    assert disease_loss(sure, batch) > good


def test_losses_without_any_target_are_zero_and_have_a_gradient() -> None:
    logits = torch.zeros(2, 1, 8, 8, requires_grad=True)
    batch = {
        "zones": torch.zeros(2, 8, 8, dtype=torch.uint8),
        "disease": torch.zeros(2, 1, 8, 8),
        "masked": torch.zeros(2),
        "shares": torch.full((2, 6), nan),
        "score": torch.full((2,), nan),
    }
    loss = disease_loss(logits, batch)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_no_patient_is_in_two_folds(pack: Pack) -> None:
    folds = patient_folds(pack.cases, 3)
    patients = [{case.patient for case in fold} for fold in folds]
    assert sum(len(fold) for fold in folds) == len(pack.cases)
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]
    assert max(map(len, folds)) - min(map(len, folds)) <= 4


def test_the_operating_point_is_where_held_out_figures_are_best(pack: Pack) -> None:
    """Affected zones have 0.5 and others 0.2 at one shift; elsewhere nothing tells them apart."""
    best = SHIFTS.index(0.75)

    def held_out(case: Case) -> HeldOut:
        blurred = ((0.1,) if case.is_normal else (0.3,)) * 6
        clear = (0.1,) * 6 if case.is_normal else (0.5, 0.5, 0.5, 0.5, 0.2, 0.2)
        shares = tuple(clear if index == best else blurred for index in range(len(SHIFTS)))
        return HeldOut(case, shares, (0.6,) * len(SHIFTS) if case.has_disease else ())

    choice = choose([held_out(case) for case in pack.cases])
    assert choice.shift == 0.75
    assert 0.2 <= choice.threshold < 0.5
    assert (choice.covid, choice.normals, choice.adults) == (0, 0, 0)
    assert choice.dice == pytest.approx(0.6)
    assert choice.scored == sum(case.is_scored_covid for case in pack.cases)


def test_adult_normals_have_a_limit_of_their_own(pack: Pack) -> None:
    """A low threshold is right for forty patients and wrong for one adult normal; a high one the other way round."""
    covid = replace(next(case for case in pack.cases if case.is_scored_covid), score=1.0)
    adult = next(case for case in pack.cases if case.is_adult_normal)
    patients = [HeldOut(covid, ((0.4, *(0.0,) * 5),) * len(SHIFTS), ()) for _ in range(40)]
    normals = [HeldOut(adult, ((0.45, *(0.0,) * 5),) * len(SHIFTS), ())]
    children = [HeldOut(replace(adult, age_group="child"), ((0.0,) * 6,) * len(SHIFTS), ()) for _ in range(40)]
    masked = [HeldOut(replace(adult, label=""), ((0.0,) * 6,) * len(SHIFTS), (0.5,) * len(SHIFTS))]
    found = choose(patients + normals + children + masked)
    assert found.threshold >= 0.45
    assert (found.adults, found.covid) == (0, 1)


@given(st.floats(0.001, 0.999), st.floats(-3, 3))
def test_a_shift_is_added_to_the_logit(probability: float, shift: float) -> None:
    shifted = shift_logits(np.array([probability], np.float32), shift)[0]
    assert np.log(shifted / (1 - shifted)) == pytest.approx(np.log(probability / (1 - probability)) + shift, abs=2e-3)


def test_calibrated_weights_answer_shifted_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("MAnet", "tu-tf_efficientnet_lite0").eval()
    fields = {"architecture": "MAnet", "encoder": "tu-tf_efficientnet_lite0", "input_size": 64}
    card = ModelCard(role="disease", name="x", mean=(0.5,) * 3, std=(0.5,) * 3, threshold=0.3, **fields)
    save_checkpoint(tmp_path / "fitted.safetensors", network, card, half=False)
    choice = Choice(shift=0.75, threshold=0.22, covid=0.7, normals=0.0, adults=0.1, dice=0.65, scored=9, masked=3)
    out = calibrate_disease(tmp_path / "fitted.safetensors", tmp_path / "calibrated.safetensors", choice)
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    before, after = (Stage.load(path, role="disease") for path in (tmp_path / "fitted.safetensors", out))
    assert after.card.threshold == 0.22
    assert after.card.metrics["cross_validation"]["dice"] == 0.65
    expected = shift_logits(before.predict([image])[0], 0.75)
    np.testing.assert_allclose(after.predict([image])[0], expected, atol=2e-3)


def test_what_is_no_pack_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"table\.csv: expected a radiograph pack's table"):
        Pack(tmp_path)
    (tmp_path / "table.csv").write_text("id,split\nx,train\n")
    with pytest.raises(PackError, match="line 2"):
        Pack(tmp_path)


def test_only_known_packages_start_an_encoder() -> None:
    with pytest.raises(StartError, match="no packaged ImageNet weights are known for 'resnet18'"):
        start_from_imagenet(nn.Module(), "resnet18")


@pytest.mark.slow
def test_the_command_line_from_pack_to_evaluation(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both stages fitted for a moment and judged: the files fit together, whatever the figures."""
    data, short = ["--data", str(pack.root)], ["--epochs", "1", "--input-size", "64"]
    assert main(["lungs", *data, *short, "--out", str(tmp_path / "lungs")]) == 0
    lungs = ["--lungs", str(tmp_path / "lungs" / "lungs.safetensors")]
    # Barely fitted lungs would leave stage II without a radiograph: the embedded ones stand in.
    assert main(["disease", *data, *short, "--batches", "1", "--out", str(tmp_path / "disease")]) == 0
    disease = ["--disease", str(tmp_path / "disease" / "disease.safetensors")]
    assert main(["evaluate", *data, *lungs, *disease, "--split", "all", "--check"]) == 1
    printed = capsys.readouterr().out
    assert "| lungs, mean Dice | 12 |" in printed
    assert "MISSED" in printed
    card = json.loads((tmp_path / "disease" / "disease.json").read_text())
    assert (card["role"], card["architecture"], card["input_size"], card["threshold"]) == ("disease", "MAnet", 64, 0.3)


def test_each_fold_is_judged_by_a_model_that_did_not_see_it(pack: Pack, drawn_lungs: Stage, tmp_path: Path) -> None:
    seen: list[set[str]] = []

    class FitReached(Exception):
        """Fitting itself is not under test."""

    def fit_fold(number: int, training: list[Case]) -> Path:
        seen.append({case.id for case in training})
        raise FitReached

    with pytest.raises(FitReached):
        hold_out(pack.cases, drawn_lungs, fit_fold, 3, tmp_path)
    held_out = {case.id for case in patient_folds(pack.cases, 3)[0]}
    assert not seen[0] & held_out
    # A fold that is done is not fitted again.
    for number, fold in enumerate(patient_folds(pack.cases, 3)):
        kept = {case.id: ([[0.5] * 6] * len(SHIFTS), []) for case in fold}
        (tmp_path / f"fold-{number}.json").write_text(json.dumps(kept))
    found = hold_out(pack.cases, drawn_lungs, fit_fold, 3, tmp_path)
    assert {item.case.id for item in found} == {case.id for case in pack.cases}
    assert found[0].shares[0] == (0.5,) * 6
    alone = hold_out(pack.cases, drawn_lungs, fit_fold, 3, tmp_path, only=1)
    assert {item.case.id for item in alone} == {case.id for case in patient_folds(pack.cases, 3)[1]}
    assert {item.fold for item in alone} == {1}


def test_crops_from_the_radiograph_show_the_same_as_those_from_stage_ones_picture(
    pack: Pack, drawn_lungs: Stage
) -> None:
    small, own = (
        next(iter(DiseaseBatches(pack.cases, drawn_lungs, 64, GRAY, GRAY, count=1, seed=3, own_side=side)(0)))
        for side in (None, 2 * SIDE)
    )
    assert small["image"].shape == own["image"].shape
    for name in ("shares", "score", "masked"):
        torch.testing.assert_close(small[name], own[name], equal_nan=True)
    # Noise is drawn a pixel at a time, so only the first radiograph is sure to lie in the same pose.
    assert (small["zones"][0] == own["zones"][0]).float().mean() > 0.9
