"""Trains a network of the paper by the paper's recipe, or by a variant of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from models.pack import Case, PackError
from models.runtime.stage import Stage
from models.training.fitting import Schedule
from models.training.losses import build_loss
from models.training.presets import LEAST_GAIN, PATIENCE, Preset
from models.training.published import PublishedBatches, Sample, disease_samples, f1_judge, lung_samples
from models.training.runs import Run, begin, finish
from models.weights.cards import Role
from models.weights.published import THRESHOLDS, preprocessing

Report: TypeAlias = Callable[[float, int], None]
"""Gets the F1 score on the validation radiographs and the epoch's number, from 0; may raise to end the run."""


def make_samples(role: Role, cases: Sequence[Case], size: int, lungs: Stage | None) -> list[Sample]:
    """The samples that a stage is trained on.

    Args:
        size: side of stage I's input, pixels.
        lungs: the trained stage I that cuts out stage II's radiographs; None: the samples are for stage I.

    Raises:
        PackError: no case has what the stage needs.
    """
    found = lung_samples(cases, size) if lungs is None else disease_samples(cases, lungs)
    if not found:
        raise PackError(f"none of {len(cases)} radiographs has what stage '{role}' is fitted to")
    return found


def recreate(
    preset: Preset,
    run: Run,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    report: Report = lambda *_: None,
) -> Path:
    """Trains a preset's network; returns the path of the weights whose F1 score on ``validation`` was best."""
    asked = preset.configuration
    mean, std = preprocessing(asked.encoder)
    labelled = preset.label_loss is not None
    begun = begin(asked.role, run, asked.architecture, asked.encoder, mean, std, classification_head=labelled)
    batches = PublishedBatches(training, run.input_size, begun.mean, begun.std, preset.batch_size, run.seed)
    held_out = PublishedBatches(validation, run.input_size, begun.mean, begun.std, preset.batch_size, augmented=False)
    f1 = f1_judge(held_out, run.device)

    def judge(network: nn.Module, epoch: int) -> float:
        figure = f1(network, epoch)
        report(figure, epoch)
        return figure

    schedule = Schedule(
        run.epochs,
        len(batches),
        preset.rate,
        weight_decay=None,
        seed=run.seed,
        optimiser=preset.optimiser,
        constant=True,
        patience=PATIENCE,
        least_gain=LEAST_GAIN,
        mixed=False,
        clip=None,
    )
    loss = build_loss(preset.loss, preset.label_loss if begun.classification_head else None)
    card_fields: dict[str, Any] = {} if asked.role == "lungs" else {"threshold": THRESHOLDS[asked.architecture]}
    return finish(asked.role, run, begun, batches, loss, schedule, judge, **card_fields)
