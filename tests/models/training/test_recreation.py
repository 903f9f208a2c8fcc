"""The paper's recipes, the search in their place, and the losses and optimisers they are made of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.evaluation.configurations import CONFIGURATIONS, Configuration
from models.pack import Pack, PackError
from models.runtime.stage import Stage
from models.training import tuning
from models.training.__main__ import main
from models.training.encoders import StartError, start_from_file
from models.training.fitting import Batch, Progress, Schedule, fit
from models.training.losses import build_loss
from models.training.optimisers import build_optimiser
from models.training.presets import Preset, preset
from models.training.published import PublishedBatches, Sample, augment, disease_samples, f1_judge, lung_samples
from models.training.recreation import make_samples, recreate
from models.training.runs import Run
from models.weights.architectures import UnknownNetworkError
from models.weights.cards import read_card
from models.weights.checkpoints import load_checkpoint
from models.weights.files import CheckpointError
from models.weights.networks import ARCHITECTURES, build_network
from models.weights.published import THRESHOLDS
from tests.models.checkpoints import load_in_pytorch
from tests.models.packs import SIDE

GRAY = (0.5, 0.5, 0.5)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands for a downloaded classifier."""
    state = build_network("FPN", "efficientnet-b0").get_submodule("encoder").state_dict()
    path = tmp_path_factory.mktemp("encoder") / "b0.safetensors"
    save_file({**state, "classifier.weight": torch.zeros(2, 2)}, path)
    return path


def run_in(folder: Path, encoder_weights: Path, size: int = 64, epochs: int = 1) -> Run:
    return Run(folder, epochs, size, seed=0, device=CPU, encoder_weights=encoder_weights)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda item: f"{item.role} {item.architecture}")
def test_every_network_of_the_paper_has_its_recipe(configuration: Configuration) -> None:
    found = preset(configuration.role, configuration.architecture)
    assert found.configuration == configuration
    assert (found.label_loss is None) is (configuration.role == "lungs")


def test_a_recipe_is_found_by_any_spelling() -> None:
    assert preset("disease", "MA-Net") == Preset(
        Configuration("disease", "MAnet", "timm-regnetx_064", 544), "Dice", "L1", "RMSprop", 1e-4, 18
    )
    with pytest.raises(UnknownNetworkError):
        preset("lungs", "ResNet")


@pytest.mark.parametrize("on_map", ["Dice", "Jaccard", "BCE", "Lovasz", "Focal"])
@pytest.mark.parametrize("on_label", [None, "BCE", "SL1", "L1"])
def test_losses_fall_with_the_answer(on_map: str, on_label: str | None) -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :4] = 1
    batch = {"mask": mask, "label": torch.tensor([[1.0], [0.0]])}
    loss = build_loss(on_map, on_label)

    def at(certainty: float) -> torch.Tensor:
        maps, label = (certainty * (2 * batch[name] - 1) for name in ("mask", "label"))
        return loss(maps if on_label is None else (maps, label), batch)

    assert at(6.0) <= at(1.0) < at(-1.0) < at(-6.0)
    assert at(6.0) < 0.1


def test_a_label_counts_as_much_as_the_map() -> None:
    batch = {"mask": torch.zeros(1, 1, 4, 4), "label": torch.zeros(1, 1)}
    unsure = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1)
    assert build_loss("BCE", "BCE")(unsure, batch) == pytest.approx(2 * np.log(2))


@pytest.mark.parametrize(
    ("name", "kind", "amsgrad"),
    [
        ("SGD", torch.optim.SGD, None),
        ("RMSprop", torch.optim.RMSprop, None),
        ("Adam", torch.optim.Adam, False),
        ("Adam_amsgrad", torch.optim.Adam, True),
        ("AdamW", torch.optim.AdamW, False),
        ("AdamW_amsgrad", torch.optim.AdamW, True),
    ],
)
def test_optimisers_by_the_papers_names(name: str, kind: type, amsgrad: bool | None) -> None:
    found = build_optimiser(name, nn.Linear(1, 1).parameters(), 0.25)
    assert type(found) is kind
    assert found.defaults["lr"] == 0.25
    assert found.defaults.get("amsgrad") == amsgrad
    assert build_optimiser(name, nn.Linear(1, 1).parameters(), 0.25, 0.5).defaults["weight_decay"] == 0.5


def test_stage_two_learns_from_masks_and_normals_within_the_lungs(pack: Pack, lungs: Stage) -> None:
    samples = disease_samples(pack.cases, lungs)
    wanted = [case for case in pack.cases if case.has_disease or case.is_normal]
    assert len(samples) == len(wanted)
    assert [sample.label for sample in samples] == [float(case.has_disease) for case in wanted]
    for sample in samples:
        assert sample.picture.shape == sample.mask.shape
        assert not sample.mask[sample.picture == 0].any()


def test_a_pack_without_masks_is_named(pack: Pack, lungs: Stage) -> None:
    shares_only = [case for case in pack if not case.has_disease and not case.is_normal]
    with pytest.raises(PackError, match="none of 4 radiographs has what stage 'disease' is fitted to"):
        make_samples("disease", shares_only, SIDE, lungs)


def test_augmentation_moves_picture_and_mask_together() -> None:
    """The mask is where the picture is bright: it still is, whatever was done to both."""
    picture = np.full((96, 80), 60, np.uint8)
    picture[20:60, 10:50] = 180
    sample = Sample(picture, np.where(picture > 120, 255, 0).astype(np.uint8))
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        changed = augment(rng, sample)
        kinds.add((changed.picture.shape, bool((changed.picture != picture[:1, :1]).any())))
        inside, outside = changed.picture[changed.mask > 0], changed.picture[changed.mask == 0]
        assert np.median(inside) > np.median(outside) + 40
    assert len({shape for shape, _ in kinds}) > 1
    assert sample.picture is picture


def test_an_epoch_has_every_radiograph_once_and_is_seeded(pack: Pack) -> None:
    samples = lung_samples(pack.cases, 64)
    batches = PublishedBatches(samples, 64, GRAY, GRAY, batch_size=5, seed=1)
    first, again, other = (list(batches(epoch)) for epoch in (0, 0, 1))
    assert [len(batch["image"]) for batch in first] == [5, 5, 2]
    assert len(batches) == 3
    torch.testing.assert_close(first[0]["image"], again[0]["image"])
    assert not torch.equal(first[0]["image"], other[0]["image"])


def test_a_last_radiograph_alone_is_left_out_of_fitting_and_judged(pack: Pack) -> None:
    samples = lung_samples(pack.cases, 64)[:9]
    fitted = PublishedBatches(samples, 64, GRAY, GRAY, batch_size=4)
    judged = PublishedBatches(samples, 64, GRAY, GRAY, batch_size=4, augmented=False)
    assert [len(batch["image"]) for batch in fitted(0)] == [4, 4]
    assert [len(batch["image"]) for batch in judged(0)] == [4, 4, 1]


class _Answers(nn.Module):
    """The batch's own masks as logits, with a label's logit."""

    def __init__(self, mask: torch.Tensor, label: float | None) -> None:
        super().__init__()
        self.mask, self.label = mask, label

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        maps = 4 * (2 * self.mask - 1)
        return maps if self.label is None else (maps, torch.full((len(images), 1), self.label))


@pytest.mark.parametrize(("label", "f1"), [(None, 1.0), (3.0, 1.0), (-3.0, 0.0)])
def test_the_judge_takes_the_label_as_the_workflow_does(label: float | None, f1: float) -> None:
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, 4:12, 4:12] = 1
    batch: Batch = {"image": torch.zeros(2, 3, 16, 16), "mask": mask}
    judge = f1_judge(lambda _: [batch], CPU)
    assert judge(_Answers(mask, label), 0) == pytest.approx(f1, abs=0.01)


def test_the_best_weights_are_those_that_stay(tmp_path: Path) -> None:
    """Judged best after the second of six epochs; two more without a gain end the run."""
    network = nn.Conv2d(3, 1, 1)
    figures = iter([0.5, 0.8, 0.805, 0.6, 0.7, 0.9])
    seen: list[dict[str, torch.Tensor]] = []

    def judge(judged: nn.Module, epoch: int) -> float:
        assert not judged.training
        seen.append({name: tensor.clone() for name, tensor in judged.state_dict().items()})
        return next(figures)

    def batches(epoch: int) -> list[Batch]:
        return [{"image": torch.randn(2, 3, 8, 8), "mask": torch.ones(2, 1, 8, 8)}]

    schedule = Schedule(6, 1, 1e-2, constant=True, patience=2, least_gain=0.01)
    fitted = fit(network, batches, build_loss("BCE", None), schedule, tmp_path, CPU, judge)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [entry["judged"] for entry in history] == [0.5, 0.8, 0.805, 0.6]
    for name, tensor in fitted.state_dict().items():
        torch.testing.assert_close(tensor, seen[2][name])
    # Asked again, a run that has ended is not gone on with.
    again = fit(nn.Conv2d(3, 1, 1), batches, build_loss("BCE", None), schedule, tmp_path, CPU, judge)
    for name, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor, seen[2][name])


def test_progress_is_kept_with_the_state() -> None:
    progress, other = Progress(), Progress()
    progress.note(0.5, nn.Linear(1, 1), 0.0)
    other.load_state_dict(progress.state_dict())
    assert (other.best, other.waited) == (0.5, 0)
    assert other.weights.keys() == progress.weights.keys()


def test_an_encoder_starts_from_a_classifiers_file(encoder_weights: Path, tmp_path: Path) -> None:
    network = build_network("FPN", "efficientnet-b0")
    start_from_file(network, encoder_weights)
    other = build_network("FPN", "efficientnet-b0")
    start_from_file(other, encoder_weights)
    for name, tensor in network.get_submodule("encoder").state_dict().items():
        torch.testing.assert_close(tensor, other.get_submodule("encoder").state_dict()[name])
    with pytest.raises(StartError, match="of the encoder's"):
        start_from_file(build_network("FPN", "resnet18"), encoder_weights)
    with pytest.raises(CheckpointError, match="no such file"):
        start_from_file(network, tmp_path / "none.pth")


def test_timms_spelling_of_an_encoder_is_understood(tmp_path: Path) -> None:
    network = build_network("FPN", "timm-regnetx_002")
    state = network.get_submodule("encoder").state_dict()
    classifier = {key.removeprefix("model."): tensor + 1 for key, tensor in state.items()}
    torch.save(classifier, tmp_path / "x.pth")
    start_from_file(network, tmp_path / "x.pth")
    started = network.get_submodule("encoder").state_dict()
    torch.testing.assert_close(started["model.stem.conv.weight"], classifier["stem.conv.weight"])


@pytest.mark.slow
def test_a_network_of_the_paper_is_fitted_and_serves(
    pack: Pack, lungs: Stage, encoder_weights: Path, tmp_path: Path
) -> None:
    recipe = replace(preset("disease", "FPN"), batch_size=4)
    samples = make_samples("disease", pack.cases, SIDE, lungs)
    path = recreate(recipe, run_in(tmp_path, encoder_weights), samples, samples)
    card = read_card(path)
    assert (card.architecture, card.encoder, card.input_size) == ("FPN", "efficientnet-b0", 64)
    assert (card.classification_head, card.threshold) == (True, THRESHOLDS["FPN"])
    maps, labels = load_in_pytorch(path, "disease").predict([pack.cases[0].pixels])
    assert 0 <= maps.min() <= maps.max() <= 1
    assert labels is not None and 0 <= labels[0] <= 1


@pytest.mark.slow
def test_any_weights_are_gone_on_with(pack: Pack, encoder_weights: Path, tmp_path: Path) -> None:
    """A U-Net with a head is what the embedded recipe is started from: it stays one, its head is left out if asked."""
    recipe = Preset(Configuration("disease", "Unet", "efficientnet-b0", 64), "Dice", "BCE", "Adam", 1e-3, 4)
    samples = [Sample(case.pixels, case.lungs.astype(np.uint8) * 255) for case in pack.cases]
    first = recreate(recipe, run_in(tmp_path / "first", encoder_weights), samples, samples)
    command = ["disease", "--data", str(pack.cases[0].root), "--out", str(tmp_path / "second"), "--start", str(first)]
    command += ["--no-head"]
    assert main([*command, "--epochs", "1", "--batches", "1", "--input-size", "64", "--licence", "Ours"]) == 0
    network, card = load_checkpoint(tmp_path / "second" / "disease.safetensors", "disease")
    assert (card.architecture, card.encoder, card.classification_head) == ("Unet", "efficientnet-b0", False)
    assert (card.mean, card.licence) == (read_card(first).mean, "Ours")
    assert not any(name.startswith("classification_head") for name in network.state_dict())


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(pack: Pack, encoder_weights: Path, tmp_path: Path) -> None:
    samples = lung_samples(pack.cases, 64)
    run = run_in(tmp_path, encoder_weights)
    search = {"encoders": ["efficientnet-b0"], "sizes": [64]}
    study = tuning.search("lungs", run, samples, samples, trials=1, **search)
    assert len(study.trials) == 1
    study = tuning.search("lungs", run, samples, samples, trials=3, **search)
    assert len(study.trials) == 3
    assert tuning.search("lungs", run, samples, samples, trials=3, **search).trials == study.trials
    header, rows = tuning.ranking(study)
    assert header[:2] == ["trial", "F1"]
    done = [trial for trial in study.trials if trial.state is optuna.trial.TrialState.COMPLETE]
    assert [float(row[1]) for row in rows] == sorted((round(trial.value, 4) for trial in done), reverse=True)
    assert rows and tuning.best_weights(study, "lungs", tmp_path).is_file()


def test_what_cannot_be_started_is_a_failed_trial(pack: Pack, tmp_path: Path) -> None:
    samples = lung_samples(pack.cases, 64)
    run = Run(tmp_path, 1, 64, 0, CPU)
    study = tuning.search("lungs", run, samples, samples, trials=2, encoders=["resnet18"], sizes=[64])
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.FAIL] * 2
    assert tuning.ranking(study)[1] == []


@pytest.mark.parametrize("role", ["lungs", "disease"])
def test_the_search_space_is_the_papers(role: str) -> None:
    trial = optuna.create_study().ask()
    found = tuning.suggest(trial, role, tuning.ENCODERS, tuning.SIZES)
    assert found.configuration.architecture in ARCHITECTURES
    assert found.configuration.input_size in range(384, 641, 32)
    assert (found.label_loss is None) is (role == "lungs")
    assert set(trial.distributions) == {"architecture", "encoder", "input_size", "loss", "optimiser", "rate"} | (
        {"label_loss"} if role == "disease" else set()
    )


def test_the_command_line_names_what_is_missing(pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "published",
        "U-Net",
        "lungs",
        "--data",
        str(pack.cases[0].root),
        "--out",
        str(tmp_path),
        "--input-size",
        "64",
    ]
    assert main(command) == 2
    assert "no packaged ImageNet weights are known for 'se_resnext101_32x4d'" in capsys.readouterr().err
