"""The workflows that the frameworks are compared around, the same for our service and for each peer."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.settings import Settings
from app.startup import load_workflow
from models.evaluation.costs import untrained_network
from models.phantom import phantom_lungs
from models.runtime.device import resolve_device, resolve_precision
from models.runtime.processors import limit_threads
from models.runtime.stage import Stage
from models.selftest import run_self_test
from models.weights import default_weights
from models.weights.cards import ModelCard, Role, read_card
from models.weights.checkpoints import load_checkpoint
from models.weights.published import preprocessing
from models.workflow import DEFAULT_THRESHOLD, Workflow
from tests.support.stubs import TorchStage

Kind: TypeAlias = Literal["embedded", "published", "free"]
"""``embedded``: the default weights. ``published``: the architectures of the paper's best pair, untrained.
``free``: networks that cost nothing, so that all there is to measure is the service around them."""

KINDS: tuple[Kind, ...] = get_args(Kind)
ROLES: tuple[Role, ...] = get_args(Role)

_PUBLISHED: Mapping[Role, tuple[str, str, int]] = {
    "lungs": ("DeepLabV3+", "efficientnet-b1", 512),
    "disease": ("MAnet", "timm-regnetx_064", 544),
}
_YES, _NO = 0.98, 0.02


def build_workflow(kind: Kind) -> Workflow:
    """Both stages with their networks, on the device and in the precision that the settings (``CXR_…``) name."""
    settings = Settings()
    if kind == "embedded":
        return load_workflow(settings)
    device = resolve_device(settings.device)

    def stage(role: Role) -> Stage:
        card = card_of(kind, role)
        precision = resolve_precision(settings.precision, device, role)
        network = untrained(card) if kind == "published" else _Posed(_pose(role, card.input_size))
        return Stage(network, card.input_size, card.mean, card.std, device, precision, card)

    return Workflow(stage("lungs"), stage("disease"), threshold=settings.threshold)


def build_outline(kind: Kind) -> Workflow:
    """The workflow without its networks, for processes that do host work only: everything but ``Stage.run`` works."""

    def stage(role: Role) -> Stage:
        card = card_of(kind, role)
        return Stage(nn.Identity(), card.input_size, card.mean, card.std, card=card)

    return Workflow(stage("lungs"), stage("disease"), threshold=Settings().threshold)


def start_workflow(kind: Kind, max_batch: int, eager: bool = False) -> Workflow:
    """``build_workflow`` for the process that runs the networks, with threads and first runs as the service.

    Args:
        eager: in PyTorch, layer by layer, as people write it.
    """
    limit_threads()
    workflow = Workflow(*in_pytorch(kind)) if eager else build_workflow(kind)
    for stage in (workflow.lungs, workflow.disease):
        stage.warm_up(max_batch)
    run_self_test(workflow)
    return workflow


def in_pytorch(kind: Kind) -> tuple[Stage, Stage]:
    """Both stages in eager PyTorch, as their checkpoints have them."""

    def stage(role: Role) -> Stage:
        card = card_of(kind, role)
        network = untrained(card) if kind == "published" else load_checkpoint(default_weights(role), role)[0]
        return TorchStage(network, card.input_size, card.mean, card.std, card=card)

    return stage("lungs"), stage("disease")


def spare_threads() -> None:
    """For a process that does host work only: it has others of its like beside it, so its libraries need no threads."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def card_of(kind: Kind, role: Role) -> ModelCard:
    """What is known of a stage's network without loading it."""
    embedded = read_card(default_weights(role))
    if kind == "embedded":
        return embedded
    if kind == "free":
        return embedded.model_copy(update={"name": "free", "sha256": None, "precisions": {}, "forms": {}})
    architecture, encoder, size = _PUBLISHED[role]
    mean, std = preprocessing(encoder)
    return ModelCard(
        role=role,
        name="untrained",
        architecture=architecture,
        encoder=encoder,
        input_size=size,
        mean=mean,
        std=std,
        threshold=DEFAULT_THRESHOLD if role == "disease" else None,
    )


class _Posed(nn.Module):
    """Answers the same map to every picture, after another network has run over it, if there is one."""

    answer: Tensor

    def __init__(self, answer: NDArray[np.float32], network: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("answer", torch.from_numpy(answer), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        answer = self.answer.expand(images.shape[0], -1, -1)
        if self.network is None:
            return answer
        # Nothing of it, but not left out when the network is converted.
        return answer + self.network(images).nan_to_num().clamp(0, 0).squeeze(1)


def untrained(card: ModelCard) -> nn.Module:
    """A network of the card's architecture.

    What it would say is noise, whose outlines would cost the host far more than lungs do, so it is run and its answer
    is replaced.
    """
    network = untrained_network(card.architecture, card.encoder)
    return _Posed(_pose(card.role, card.input_size), network)


def _pose(role: Role, size: int) -> NDArray[np.float32]:
    """The map [size, size]: the phantom's lungs, or a patch in each lower half."""
    if role == "lungs":
        found = phantom_lungs(size)
    else:
        canvas = np.zeros((size, size), np.uint8)
        for column, row in ((size // 4, 2 * size // 3), (3 * size // 4, size // 2)):
            cv2.ellipse(canvas, (column, row), (size // 7, size // 5), 20, 0, 360, 1, cv2.FILLED)
        found = canvas > 0
    return np.where(found, np.float32(_YES), np.float32(_NO))
