"""Stages of checkpoints that a test has just written."""

from pathlib import Path

from models.weights.cards import Role
from models.weights.checkpoints import load_checkpoint
from tests.support.stubs import TorchStage


def load_in_pytorch(path: Path, role: Role) -> TorchStage:
    """Loads a checkpoint without converting it, which takes seconds."""
    network, card = load_checkpoint(path, role)
    return TorchStage(network, card.input_size, card.mean, card.std, card=card)
