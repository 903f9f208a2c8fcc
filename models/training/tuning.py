"""The paper's search for a network and its training, with Optuna in place of the published script."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

import optuna
import torch

from models.evaluation.configurations import Configuration
from models.training.encoders import StartError
from models.training.losses import LabelLoss, MapLoss
from models.training.optimisers import OptimiserName
from models.training.presets import Preset
from models.training.published import Sample
from models.training.recreation import recreate
from models.training.runs import Run
from models.weights.architectures import UnknownNetworkError
from models.weights.cards import Role
from models.weights.networks import ARCHITECTURES

SIZES: Final = tuple(range(384, 641, 32))
RATES: Final = (1e-2, 5e-3, 1e-3, 5e-4, 1e-4)
ENCODERS: Final = (
    *("resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d"),
    *("timm-regnetx_032", "timm-regnetx_064", "timm-regnety_032", "timm-regnety_064"),
    *("se_resnet50", "se_resnet101", "se_resnext50_32x4d", "se_resnext101_32x4d"),
    *("efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "mobilenet_v2", "timm-skresnet34", "dpn68", "dpn98"),
)
"""The paper's, except ``timm-skresnext50_32x4d``, which today's library builds differently."""
EPOCHS: Final = 16
BATCH_SIZE: Final = 4


def search(
    role: Role,
    run: Run,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    trials: int,
    encoders: Sequence[str] = ENCODERS,
    sizes: Sequence[int] = SIZES,
) -> optuna.Study:
    """Random trials, stopped early by Hyperband, for the F1 score on ``validation``; kept in ``run.out/study.db``.

    An interrupted run continues with the trials that are left. A combination that cannot be built, started or held in
    memory is a failed trial and does not end the search.

    Args:
        run: its ``out`` gets a folder per trial.
        encoders, sizes: to choose from.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{run.out / 'study.db'}",
        study_name=role,
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(run.seed),
        pruner=optuna.pruners.HyperbandPruner(max_resource=run.epochs, reduction_factor=2),
    )

    def objective(trial: optuna.Trial) -> float:
        preset = suggest(trial, role, encoders, sizes)
        figures: list[float] = []

        def report(figure: float, epoch: int) -> None:
            figures.append(figure)
            trial.report(figure, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        inside = replace(run, out=run.out / f"trial-{trial.number}", input_size=preset.configuration.input_size)
        recreate(preset, inside, training, validation, report)
        return max(figures)

    left = trials - sum(trial.state.is_finished() for trial in study.trials)
    if left > 0:
        failures = (FloatingPointError, StartError, UnknownNetworkError, torch.OutOfMemoryError)
        study.optimize(objective, left, catch=failures)
    return study


def suggest(trial: optuna.Trial, role: Role, encoders: Sequence[str], sizes: Sequence[int]) -> Preset:
    """One point of the paper's search space."""
    architecture = trial.suggest_categorical("architecture", tuple(ARCHITECTURES))
    encoder = trial.suggest_categorical("encoder", tuple(encoders))
    size = trial.suggest_categorical("input_size", tuple(sizes))
    label_loss = trial.suggest_categorical("label_loss", get_args(LabelLoss)) if role == "disease" else None
    return Preset(
        Configuration(role, architecture, encoder, size),
        trial.suggest_categorical("loss", get_args(MapLoss)),
        label_loss,
        trial.suggest_categorical("optimiser", get_args(OptimiserName)),
        trial.suggest_categorical("rate", RATES),
        BATCH_SIZE,
    )


def ranking(study: optuna.Study) -> tuple[list[str], list[list[str]]]:
    """The finished trials, the best first, as a table's header and rows."""
    done = [trial for trial in study.trials if trial.state is optuna.trial.TrialState.COMPLETE]
    done.sort(key=lambda trial: trial.value or 0.0, reverse=True)
    names = sorted({name for trial in done for name in trial.params})
    rows = [
        [str(trial.number), f"{trial.value:.4f}", *(str(trial.params.get(name, "")) for name in names)]
        for trial in done
    ]
    return ["trial", "F1", *names], rows


def best_weights(study: optuna.Study, role: Role, out: Path) -> Path:
    """The weights of the best trial."""
    return out / f"trial-{study.best_trial.number}" / f"{role}.safetensors"
