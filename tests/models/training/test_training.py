import json
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.pack import Case, Pack, PackError, patient_folds
from models.runtime.stage import Stage
from models.training.__main__ import main
from models.training.crossvalidation import SHIFTS, HeldOut, choose, hold_out, shift_logits
from models.training.disease import DiseaseBatches
from models.training.disease_loss import disease_loss
from models.training.emphasis import EMPHASES
from models.training.encoders import StartError, start_from_imagenet
from models.training.fitting import Schedule, fit
from models.training.lungs import LungBatches, lung_loss
from models.training.recipes import calibrate_disease
from models.training.runs import Run, begin
from models.weights.__main__ import main as convert
from models.weights.cards import ModelCard, read_card
from models.weights.checkpoints import save_checkpoint
from models.weights.networks import build_network
from tests.models.checkpoints import load_in_pytorch
from tests.models.packs import SIDE, write_pack
from tests.models.training.held_out import a_choice, seen_at

GRAY = (0.5, 0.5, 0.5)
BATCH = EMPHASES["outlines"].batch


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


def test_depthwise_convolutions_are_fitted_in_float32(tmp_path: Path) -> None:
    """In bfloat16 their gradients take several times as long on a CPU."""
    seen: dict[int, torch.dtype] = {}

    class Watched(nn.Conv2d):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            answer = super().forward(image)
            seen[self.groups] = answer.dtype
            return answer

    network = nn.Sequential(Watched(3, 8, 1), Watched(8, 8, 3, padding=1, groups=8), Watched(8, 1, 1))
    before = network[1].weight.detach().clone()
    image = torch.rand(2, 3, 16, 16)
    batches = [{"image": image, "lungs": (image[:, :1] > 0.5).float()}]
    fit(network, lambda _: batches, lung_loss, Schedule(epochs=1, batches=1), tmp_path, torch.device("cpu"))
    assert seen == {1: torch.bfloat16, 8: torch.float32}
    assert not torch.equal(network[1].weight, before)


def test_a_state_of_another_schedule_is_not_gone_on_with(pack: Pack, tmp_path: Path) -> None:
    batches = LungBatches(pack.cases, 64, GRAY, GRAY, count=1, batch_size=2, seed=0)
    schedule = Schedule(epochs=1, batches=1)
    fit(small_network(), batches, lung_loss, schedule, tmp_path, torch.device("cpu"))
    with pytest.raises(ValueError, match="expected the state of"):
        fit(small_network(), batches, lung_loss, replace(schedule, epochs=2), tmp_path, torch.device("cpu"))


def test_batches_are_seeded(pack: Pack, lungs: Stage) -> None:
    first = LungBatches(pack.cases, 64, GRAY, GRAY, count=1, batch_size=4, seed=1)
    disease = DiseaseBatches(pack.cases, lungs, 64, GRAY, GRAY, count=1, seed=1, batch=BATCH)
    for batches in (first, disease):
        first, again, other = (next(iter(batches(epoch))) for epoch in (0, 0, 1))
        torch.testing.assert_close(first["image"], again["image"])
        assert not torch.equal(first["image"], other["image"])


def test_a_disease_batch_is_made_up_of_all_kinds_and_masked_outside_the_lungs(pack: Pack, lungs: Stage) -> None:
    (batch,) = DiseaseBatches(pack.cases, lungs, 64, GRAY, GRAY, count=1, seed=0, batch=BATCH)(0)
    kinds = ("masked", "shares", "child", "adult")
    assert len(batch["image"]) == sum(BATCH[kind] for kind in kinds), "of kinds the pack has none of, there are none"
    assert batch["masked"].sum() == BATCH["masked"]
    assert not batch["shares"][~batch["masked"]].isnan().any()
    assert batch["shares"][batch["masked"]].isnan().all()
    assert batch["healthy"].sum() == BATCH["child"] + BATCH["adult"]
    assert torch.equal(batch["label"], (~batch["healthy"]).float())
    outside = batch["zones"] == 0
    # The bicubic edge aside, all outside the lungs is black.
    assert (batch["image"][:, 0][outside] <= -0.9).float().mean() > 0.8
    assert set(batch["zones"].unique().tolist()) == set(range(7))


def test_the_disease_loss_rewards_the_truth(pack: Pack, lungs: Stage) -> None:
    (batch,) = DiseaseBatches(pack.cases, lungs, 64, GRAY, GRAY, count=1, seed=0, batch=BATCH)(0)
    zones = batch["zones"][:, None]
    sure = torch.full_like(batch["disease"], -8.0)
    truth = torch.where(batch["disease"] > 0.5, 8.0, sure)
    # Where there is no mask, a share is met by filling that part of each zone.
    for index in torch.nonzero(~batch["masked"]).flatten():
        for zone in range(6):
            inside = torch.nonzero((zones[index, 0] == zone + 1).flatten()).flatten()
            wanted = inside[: round(float(batch["shares"][index, zone]) * len(inside))]
            truth[index].view(-1)[wanted] = 8.0
    good, bad = disease_loss(truth, batch), disease_loss(-truth, batch)
    assert good < 0.5 * bad
    assert disease_loss(sure, batch) > good


def unknown(count: int, side: int) -> dict[str, torch.Tensor]:
    """A batch of radiographs of which nothing is known; the whole picture is the first zone."""
    return {
        "zones": torch.ones(count, side, side, dtype=torch.uint8),
        "disease": torch.zeros(count, 1, side, side),
        "masked": torch.zeros(count, dtype=torch.bool),
        "boxes": torch.zeros(count, side, side, dtype=torch.uint8),
        "boxed": torch.zeros(count, dtype=torch.bool),
        "shares": torch.full((count, 6), nan),
        "score": torch.full((count,), nan),
        "healthy": torch.zeros(count, dtype=torch.bool),
        "without_opacity": torch.zeros(count, dtype=torch.bool),
        "label": torch.zeros(count),
        "label_weight": torch.zeros(count),
    }


def test_losses_without_any_target_are_zero_and_have_a_gradient() -> None:
    logits, label = torch.zeros(2, 1, 8, 8, requires_grad=True), torch.zeros(2, 1, requires_grad=True)
    loss = disease_loss((logits, label), unknown(2, 8))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()
    assert not label.grad.any()


def test_a_box_asks_for_something_within_and_nothing_without() -> None:
    batch = unknown(1, 32)
    batch["boxed"][0], batch["boxes"][0, 4:20, 4:20] = True, 1
    logits = {"nothing": torch.full((1, 1, 32, 32), -6.0)}
    logits["in the box"] = logits["nothing"].clone()
    logits["in the box"][..., 4:20, 4:14] = 6
    logits["beside the box"] = logits["nothing"].clone()
    logits["beside the box"][..., 20:, 4:20] = 6
    logits["everywhere"] = -logits["nothing"]
    losses = {name: float(disease_loss(one, batch)) for name, one in logits.items()}
    assert losses["in the box"] < 0.05
    assert min(losses, key=losses.__getitem__) == "in the box"
    assert losses["beside the box"] > losses["nothing"]


def test_what_is_only_said_to_be_without_opacity_is_pulled_less_than_what_is_healthy() -> None:
    """A plainly wrong label must not outweigh all else: the pull of a tolerant loss stays bounded."""
    marked = torch.full((1, 1, 16, 16), 4.0)
    healthy, reported = unknown(1, 16), unknown(1, 16)
    healthy["healthy"][0], healthy["shares"], healthy["score"] = True, torch.zeros(1, 6), torch.zeros(1)
    reported["without_opacity"][0] = True
    assert 0.1 < disease_loss(marked, reported) <= 0.5
    assert disease_loss(marked, healthy) > 4 * disease_loss(marked, reported)


def test_the_label_is_learnt_with_its_weight() -> None:
    batch = unknown(2, 8)
    batch["label"], batch["label_weight"] = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    maps = torch.zeros(2, 1, 8, 8)
    right, wrong = torch.tensor([[5.0], [5.0]]), torch.tensor([[-5.0], [5.0]])
    assert disease_loss((maps, right), batch) < 0.01
    assert disease_loss((maps, wrong), batch) > 2


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
        shares = [clear if index == best else blurred for index in range(len(SHIFTS))]
        return seen_at(case, shares, dice=0.6 if case.has_disease else None)

    choice = choose([held_out(case) for case in pack.cases])
    assert (choice.shift, choice.label_shift) == (0.75, None)
    assert 0.2 <= choice.threshold < 0.5
    assert (choice.covid, choice.mixture, choice.adults, choice.adults_over, choice.children) == (0, 0, 0, 0, 0)
    assert isnan(choice.bedside)
    assert choice.dice == pytest.approx(0.6)
    assert choice.counts["COVID-19"] == sum(case.is_scored_covid for case in pack.cases)


def test_healthy_adults_come_first(pack: Pack) -> None:
    """A low threshold is right for forty patients and wrong for one healthy adult; a high one the other way round."""
    covid = replace(next(case for case in pack.cases if case.is_scored_covid), score=1.0)
    adult = next(case for case in pack.cases if case.is_adult_normal)
    patients = [seen_at(covid, [(0.4, *(0.0,) * 5)] * len(SHIFTS)) for _ in range(40)]
    normals = [seen_at(adult, [(0.45, *(0.0,) * 5)] * len(SHIFTS))]
    children = [seen_at(replace(adult, age_group="child"), [(0.0,) * 6] * len(SHIFTS)) for _ in range(40)]
    masked = [seen_at(replace(adult, label=""), [(0.0,) * 6] * len(SHIFTS), dice=0.5)]
    found = choose(patients + normals + children + masked)
    assert found.threshold >= 0.45
    assert (found.adults, found.covid) == (0, 1)


def test_the_label_keeps_healthy_adults_at_zero_and_lets_disease_through(pack: Pack) -> None:
    """Maps mark healthy and diseased lungs alike; the head's logits, -3 and -0.5, tell them apart after a shift."""
    covid = replace(next(case for case in pack.cases if case.is_scored_covid), score=6.0)
    adult = next(case for case in pack.cases if case.is_adult_normal)
    marked = [(0.9,) * 6] * len(SHIFTS)
    items = [seen_at(covid, marked, label=-0.5), seen_at(adult, marked, label=-3.0)]
    found = choose(items)
    assert (found.adults, found.covid) == (0, 0)
    assert 0.5 < found.label_shift <= 1
    assert [item.score(0.0, found.label_shift, 0.5) for item in items] == [6, 0]


@given(st.floats(0.001, 0.999), st.floats(-3, 3))
def test_a_shift_is_added_to_the_logit(probability: float, shift: float) -> None:
    shifted = shift_logits(np.array([probability], np.float32), shift)[0]
    logit = np.log(probability / (1 - probability)) + shift
    # Not the logits themselves: beside 1 a float32's last bit is a thousandth of one.
    assert shifted == pytest.approx(1 / (1 + np.exp(-logit)), rel=4e-6)


def test_calibrated_weights_answer_shifted_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("Linknet", "timm-regnetx_002", classification_head=True).eval()
    fields = {"architecture": "Linknet", "encoder": "timm-regnetx_002", "input_size": 64}
    fields |= {"classification_head": True}
    card = ModelCard(role="disease", name="x", mean=(0.5,) * 3, std=(0.5,) * 3, threshold=0.3, **fields)
    save_checkpoint(tmp_path / "fitted.safetensors", network, card, half=False)
    choice = a_choice(shift=0.75, threshold=0.22, label_shift=-0.5)
    out = calibrate_disease(tmp_path / "fitted.safetensors", tmp_path / "calibrated.safetensors", choice)
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    before, after = (load_in_pytorch(path, "disease") for path in (tmp_path / "fitted.safetensors", out))
    assert after.card.threshold == 0.22
    assert after.card.metrics["cross_validation"]["dice"] == 0.65
    (maps, labels), (shifted, shifted_labels) = before.predict([image]), after.predict([image])
    np.testing.assert_allclose(shifted, shift_logits(maps, 0.75), atol=4e-3)
    np.testing.assert_allclose(shifted_labels, shift_logits(labels, -0.5), atol=4e-3)


def test_a_head_that_the_choice_does_without_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("Linknet", "timm-regnetx_002", classification_head=True).eval()
    fields = {"architecture": "Linknet", "encoder": "timm-regnetx_002", "input_size": 64}
    fields |= {"classification_head": True}
    card = ModelCard(role="disease", name="x", mean=(0.5,) * 3, std=(0.5,) * 3, threshold=0.3, **fields)
    save_checkpoint(tmp_path / "fitted.safetensors", network, card, half=False)
    choice = replace(a_choice(shift=0.0), label_shift=None)
    out = calibrate_disease(tmp_path / "fitted.safetensors", tmp_path / "calibrated.safetensors", choice)
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    maps, labels = load_in_pytorch(out, "disease").predict([image])
    assert labels is None
    fitted = load_in_pytorch(tmp_path / "fitted.safetensors", "disease").predict([image])[0]
    np.testing.assert_allclose(maps, fitted, atol=4e-3)


def test_what_is_no_pack_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"table\.csv: expected a radiograph pack's table"):
        Pack(tmp_path)
    (tmp_path / "table.csv").write_text("id,score\nx,four\n")
    with pytest.raises(PackError, match="line 2"):
        Pack(tmp_path)


def test_two_folders_are_read_as_one_pack(tmp_path: Path) -> None:
    first, second = write_pack(tmp_path / "first", 3), write_pack(tmp_path / "second", 3)
    with pytest.raises(PackError, match=r"expected other ids than .*first has, found 'p000' in both"):
        Pack(first, second)
    table = (second / "table.csv").read_text().replace("p00", "q00")
    (second / "table.csv").write_text(table)
    pack = Pack(first, second)
    assert [case.id for case in pack] == ["p000", "p001", "p002", "q000", "q001", "q002"]
    # Both have a patient 0: they are two people.
    folds = patient_folds(pack.cases, 6)
    assert sorted(sorted(case.id for case in fold) for fold in folds if fold) == [
        ["p000", "p001"],
        ["p002"],
        ["q000", "q001"],
        ["q002"],
    ]


def test_a_classification_head_is_begun_beside_weights_without_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("MAnet", "tu-tf_efficientnet_lite0").eval()
    fields = {"architecture": "MAnet", "encoder": "tu-tf_efficientnet_lite0", "input_size": 64}
    card = ModelCard(role="disease", name="x", mean=(0.5,) * 3, std=(0.5,) * 3, threshold=0.3, **fields)
    save_checkpoint(tmp_path / "old.safetensors", network, card, half=False)
    run = Run(tmp_path / "run", 1, 64, 0, torch.device("cpu"), start=tmp_path / "old.safetensors")
    begun = begin("disease", run, "MAnet", "", (0.5,) * 3, (0.5,) * 3, classification_head=True)
    image = torch.rand(1, 3, 64, 64)
    maps, label = begun.network.eval()(image)
    assert begun.classification_head
    assert label.shape == (1, 1)
    torch.testing.assert_close(maps, network(image))


def test_only_known_packages_start_an_encoder() -> None:
    with pytest.raises(StartError, match="no packaged ImageNet weights are known for 'resnet18'"):
        start_from_imagenet(nn.Module(), "resnet18")


@pytest.mark.slow
def test_the_command_line_from_pack_to_evaluation(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both stages fitted for a moment and judged: the files fit together, whatever the figures."""
    data, short = ["--data", str(pack.cases[0].root)], ["--epochs", "1", "--input-size", "64"]
    assert main(["lungs", *data, *short, "--out", str(tmp_path / "lungs")]) == 0
    lungs = ["--lungs", str(tmp_path / "lungs" / "lungs.safetensors")]
    # Barely fitted lungs would leave stage II without a radiograph: the embedded ones stand in.
    assert main(["disease", *data, *short, "--batches", "1", "--out", str(tmp_path / "disease")]) == 0
    disease = ["--disease", str(tmp_path / "disease" / "disease.safetensors")]
    assert main(["record", *data, *lungs, *disease, "--split", "all"]) == 0
    printed = capsys.readouterr().out
    assert "| lungs, mean Dice | 12 |" in printed
    assert "WORSE" in printed
    assert json.loads((tmp_path / "lungs" / "lungs.json").read_text())["metrics"]["all"]["lungs, mean Dice"] < 1
    card = json.loads((tmp_path / "disease" / "disease.json").read_text())
    assert (card["role"], card["architecture"], card["input_size"], card["threshold"]) == ("disease", "MAnet", 64, 0.3)


@pytest.mark.slow
def test_weights_are_quantized_and_judged_in_each_format(pack: Pack, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "weights"
    folder.mkdir()
    data = ["--data", str(next(iter(pack)).root), "--split", "all"]
    pair = []
    for role, threshold in (("lungs", None), ("disease", 0.3)):
        card = ModelCard(
            role=role,
            name=role,
            architecture="Unet",
            encoder="resnet18",
            input_size=64,
            mean=GRAY,
            std=GRAY,
            threshold=threshold,
        )
        save_checkpoint(folder / role, build_network("Unet", "resnet18"), card)
        # Else each load below would convert it again.
        assert convert(["convert", str(folder / f"{role}.safetensors"), role]) == 0
        pair += [f"--{role}", str(folder / f"{role}.safetensors")]
    assert main(["quantize", "lungs", *data, *pair]) == 0
    assert main(["precisions", *data, *pair]) == 0
    lungs = read_card(folder / "lungs.safetensors")
    assert "int8" in lungs.forms and "int8" in lungs.precisions
    assert "int8" not in read_card(folder / "disease.safetensors").precisions
    assert lungs.precisions["int8"].metrics["radiographs"] == len(pack.split("all"))
    picture = [np.zeros((64, 64), np.uint8)]
    exact, lowered = (
        Stage.load(folder / "lungs.safetensors", role="lungs", precision=precision).predict(picture)[0]
        for precision in ("float32", "int8")
    )
    assert np.abs(exact - lowered).max() < 0.2
    assert not np.array_equal(exact, lowered)


def test_each_fold_is_judged_by_a_model_that_did_not_see_it(pack: Pack, lungs: Stage, tmp_path: Path) -> None:
    seen: list[set[str]] = []

    class FitReached(Exception):
        """Fitting itself is not under test."""

    def fit_fold(number: int, training: list[Case]) -> Path:
        seen.append({case.id for case in training})
        raise FitReached

    with pytest.raises(FitReached):
        hold_out(pack.cases, lungs, fit_fold, 3, tmp_path)
    held_out = {case.id for case in patient_folds(pack.cases, 3)[0]}
    assert not seen[0] & held_out
    # A fold that is done is not fitted again.
    for number, fold in enumerate(patient_folds(pack.cases, 3)):
        figures = {"shares": [[0.5] * 6] * len(SHIFTS), "diseased": [0.5] * len(SHIFTS), "dice": [], "label": 1.5}
        kept = {case.id: figures for case in fold}
        (tmp_path / f"fold-{number}.json").write_text(json.dumps(kept))
    found = hold_out(pack.cases, lungs, fit_fold, 3, tmp_path)
    assert {item.case.id for item in found} == {case.id for case in pack.cases}
    assert (found[0].shares[0], found[0].label) == ((0.5,) * 6, 1.5)
    alone = hold_out(pack.cases, lungs, fit_fold, 3, tmp_path, only=1)
    assert {item.case.id for item in alone} == {case.id for case in patient_folds(pack.cases, 3)[1]}
    assert {item.fold for item in alone} == {1}


def test_crops_from_the_radiograph_show_the_same_as_those_from_stage_ones_picture(pack: Pack, lungs: Stage) -> None:
    small, own = (
        next(iter(DiseaseBatches(pack.cases, lungs, 64, GRAY, GRAY, count=1, seed=3, batch=BATCH, own_side=side)(0)))
        for side in (None, 2 * SIDE)
    )
    assert small["image"].shape == own["image"].shape
    for name in ("shares", "score", "masked"):
        torch.testing.assert_close(small[name], own[name], equal_nan=True)
    # Noise is drawn a pixel at a time, so only the first radiograph is sure to lie in the same pose.
    assert (small["zones"][0] == own["zones"][0]).float().mean() > 0.9
