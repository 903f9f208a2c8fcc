"""The recipes of the embedded default: which network, which data, which card."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import nn

from models.pack import Case
from models.runtime.stage import Stage
from models.training.crossvalidation import Choice
from models.training.disease import DiseaseBatches
from models.training.disease_loss import disease_loss
from models.training.emphasis import EMPHASES
from models.training.fitting import Schedule
from models.training.intervals import SpreadChoice
from models.training.lungs import LungBatches, lung_loss
from models.training.runs import Begun, Run, Triple, begin, finish
from models.weights.cards import CropPixels, Role
from models.weights.checkpoints import load_checkpoint, save_checkpoint

ENCODER: Final = "tu-tf_efficientnet_lite0"
GRAY: Final[Triple] = (0.5, 0.5, 0.5)
"""Mean and deviation: the encoder was trained on pictures scaled to -1..1."""
BATCH_SIZE: Final = 8
_POINT: Final = ("shift", "label_shift", "threshold")
ARCHITECTURES: Final[dict[Role, str]] = {"lungs": "DeepLabV3+", "disease": "MAnet"}


def fit_lungs(run: Run, cases: Sequence[Case], rate: float, encoder: str = ENCODER) -> Path:
    """Fits stage I on the cases' drawn lungs; returns the weights' path."""
    drawn = [case for case in cases if case.has_lungs]
    count = -(-len(drawn) // BATCH_SIZE)
    begun = _begin("lungs", run, encoder)
    batches = LungBatches(drawn, run.input_size, begun.mean, begun.std, count, BATCH_SIZE, run.seed)
    return finish("lungs", run, begun, batches, lung_loss, Schedule(run.epochs, count, rate, seed=run.seed))


def fit_disease(
    run: Run,
    lungs: Stage,
    cases: Sequence[Case],
    count: int,
    threshold: float,
    rate: float,
    encoder: str = ENCODER,
    own_side: int | None = None,
    classification_head: bool = True,
    emphasis: str = "outlines",
) -> Path:
    """Fits stage II on ``cases``, cropped by the trained stage I; returns the weights' path.

    Args:
        count: batches an epoch.
        threshold: for the card; chosen by ``models.training.crossvalidation``.
        own_side: see ``DiseaseBatches``; the card says which.
        classification_head: it also answers how probable any disease is.
        emphasis: one of ``EMPHASES``.
    """
    begun = _begin("disease", run, encoder, classification_head)
    laid = EMPHASES[emphasis]
    batches = DiseaseBatches(cases, lungs, run.input_size, begun.mean, begun.std, count, run.seed, laid.batch, own_side)
    loss = partial(disease_loss, weights=laid.weights)
    schedule = Schedule(run.epochs, count, rate, seed=run.seed)
    source: CropPixels = "picture" if own_side is None else "radiograph"
    return finish("disease", run, begun, batches, loss, schedule, threshold=threshold, crop_pixels=source)


def calibrate_disease(weights: Path, out: Path, choice: Choice, intervals: SpreadChoice | None = None) -> Path:
    """Adds the chosen shifts to the logits of fitted stage II weights and writes the threshold into their card.

    A classification head that the choice does without is left out.

    Args:
        intervals: for the card as well.
    """
    network, card = load_checkpoint(weights, "disease")
    head = cast("nn.Sequential", network.get_submodule("segmentation_head"))
    last = cast("nn.Conv2d", head[0])
    with torch.no_grad():
        cast("torch.Tensor", last.bias).add_(choice.shift)
        if card.classification_head and choice.label_shift is not None:
            layers = network.get_submodule("classification_head").modules()
            linear = next(layer for layer in layers if isinstance(layer, nn.Linear))
            linear.bias.add_(choice.label_shift)
    if choice.label_shift is None:
        cast("Any", network).classification_head = None
    figures = {name: value for name, value in asdict(choice).items() if name not in _POINT}
    held_out = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    calibrated = card.model_copy(
        update={
            "threshold": choice.threshold,
            "classification_head": card.classification_head and choice.label_shift is not None,
            "metrics": {**card.metrics, "cross_validation": held_out, **_interval_figures(intervals)},
            "spread": None if intervals is None else intervals.rule,
            "notes": f"{card.notes} {_shifted(choice)}, chosen with the threshold by cross-validation.",
        }
    )
    save_checkpoint(out, network, calibrated)
    return out


def _shifted(choice: Choice) -> str:
    maps = f"The map's logits shifted by {choice.shift:+g}"
    if choice.label_shift is None:
        return f"{maps}, without the classification head that helped to fit them"
    return f"{maps}, the label's by {choice.label_shift:+g}"


def average(role: Role, first: Path, second: Path, share: float, out: Path) -> Path:
    """Writes the mean of two weights of one network, ``share`` of it the second's, with the first's card.

    It helps where the second went on from the first, so that both lie in one valley (Wortsman et al., "Model
    soups", ICML 2022).
    """
    network, card = load_checkpoint(first, role)
    other, _ = load_checkpoint(second, role, card.model_copy(update={"sha256": None}))
    others = other.state_dict()
    mean = {
        name: torch.lerp(tensor, others[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(mean)
    notes = f"{card.notes} Averaged with weights that went on from these, share {share:g}."
    save_checkpoint(out, network, card.model_copy(update={"notes": notes}))
    return out


def _interval_figures(intervals: SpreadChoice | None) -> dict[str, dict[str, float]]:
    if intervals is None:
        return {}
    figures = {name: round(value, 4) for name, value in asdict(intervals).items() if name != "rule"}
    return {"intervals": figures}


def _begin(role: Role, run: Run, encoder: str, classification_head: bool = False) -> Begun:
    return begin(role, run, ARCHITECTURES[role], encoder, GRAY, GRAY, classification_head)
