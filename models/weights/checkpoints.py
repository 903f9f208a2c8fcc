"""Reading and writing checkpoints: own ones (safetensors and a card) and the published ones (state dicts).

Nothing but tensors is unpickled, nothing is downloaded, and a file that is not exactly what its card says is refused
with one :class:`CheckpointError`.
"""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save as dump_safetensors
from torch import Tensor, nn

from models.weights.architectures import UnknownNetworkError, canonical_architecture
from models.weights.cards import ModelCard, Role, check_card, json_object, read_card, validated, write_card
from models.weights.files import CheckpointError, read_file, write_file
from models.weights.networks import build_network, check_encoder, unused_encoder_shapes
from models.weights.published import (
    INPUT_SIZES,
    THRESHOLDS,
    has_classification_head,
    parse_directory,
    preprocessing,
    upgrade_keys,
)
from models.weights.statedicts import (
    State,
    check_state,
    parse_safetensors,
    parse_torch,
)


def save_checkpoint(path: str | Path, network: nn.Module, card: ModelCard, half: bool = True) -> ModelCard:
    """Writes ``<path>.safetensors`` and its card ``<path>.json``.

    Args:
        path: with or without the ``.safetensors`` suffix; its folder exists.
        network: the one the card describes; on any device, not changed.
        card: its ``sha256`` is filled in.
        half: store float tensors as float16 (a tensor beyond its range stays as it is).

    Returns:
        The card as written.

    Raises:
        CheckpointError: the network is not what the card describes, has non-finite weights, or cannot be
            written.
    """
    path = Path(path)
    weights = path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")
    state = {key: value.detach().to("cpu") for key, value in network.state_dict().items()}
    check_state(weights, state, _build(weights, card))
    # Copies: the format refuses tensors that share memory.
    data = dump_safetensors({key: _for_disk(value, half) for key, value in state.items()})
    card = card.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    write_file(weights, data)
    write_card(weights, card)
    return card


def load_checkpoint(path: str | Path, role: Role, card: ModelCard | None = None) -> tuple[nn.Module, ModelCard]:
    """A network ready for inference, and what is known about it.

    A ``.safetensors`` file needs its card ``<stem>.json`` beside it and must have the sha256 the card names.
    Any other file is read as a published checkpoint: its directory's name and the published constants
    describe it, and a card beside it overrides whatever it mentions.

    Args:
        path: the weights file.
        role: the stage it is to serve.
        card: used instead of any card on disk and of the directory's name.

    Returns:
        The network (float32, on the CPU, in eval mode) and its card, ``sha256`` filled in.

    Raises:
        CheckpointError: the file is missing, damaged, foreign, for the other stage, or not the network it is
            said to be; or its card is missing or not valid.
        ValueError: no such role.
    """
    path = Path(path)
    if role not in INPUT_SIZES:
        raise ValueError(f"no such role: {role!r}; it is 'lungs' or 'disease'")
    data = read_file(path, "a weights file")
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix == ".safetensors":
        card = card or read_card(path)
        check_card(path, card, role, sha256)
        state = parse_safetensors(path, data)
        network = _build(path, card)
    else:
        published = parse_torch(path, data)
        card = card or _published_card(path, role, has_classification_head(published))
        check_card(path, card, role, sha256)
        network = _build(path, card)
        state = _upgraded(path, published, network, card)
    check_state(path, state, network)
    network.load_state_dict(state, strict=True)
    return network.eval(), card.model_copy(update={"sha256": sha256})


def _for_disk(tensor: Tensor, half: bool) -> Tensor:
    """A copy, in float16 if every value is within its range."""
    if half and tensor.is_floating_point():
        halved = tensor.half()
        if bool(torch.isfinite(halved).all()):
            tensor = halved
    return tensor.clone(memory_format=torch.contiguous_format)


def _build(path: Path, card: ModelCard) -> nn.Module:
    head = card.classification_head
    try:
        return build_network(card.architecture, card.encoder, classification_head=head, options=card.options)
    except UnknownNetworkError as error:
        raise CheckpointError(path, "a network that can be built", str(error)) from error


def _upgraded(path: Path, published: State, network: nn.Module, card: ModelCard) -> State:
    """A published state dict under today's keys, without the stages that today's network leaves out."""
    state = upgrade_keys(published, card.architecture, card.encoder)
    for key, shape in unused_encoder_shapes(network, card.encoder).items():
        dropped = state.pop(key, None)
        if dropped is not None and tuple(dropped.shape) != shape:
            raise CheckpointError(path, f"{key} of shape {shape}", f"shape {tuple(dropped.shape)}")
    return state


def _published_card(weights: Path, role: Role, head: bool) -> ModelCard:
    """A card from the directory's name and the published constants; a card beside the file overrides them."""
    path = weights.with_suffix(".json")
    said = json_object(path) if path.exists() else {}
    directory = weights.absolute().parent.name
    name = parse_directory(directory)
    if name is None and not {"architecture", "encoder"} <= said.keys():
        expected = "a directory named <architecture>_<encoder>_imagenet_<date>_<time> or a card beside the file"
        raise CheckpointError(weights, expected, f"the directory {directory!r}")
    architecture = str(said.get("architecture") or (name.architecture if name else ""))
    encoder = str(said.get("encoder") or (name.encoder if name else ""))
    try:
        architecture = canonical_architecture(architecture)
        check_encoder(encoder)
    except UnknownNetworkError as error:
        raise CheckpointError(weights, "a published architecture and encoder", str(error)) from error
    # A card may name another role; without a card a head means stage II, as only that was published with one.
    if said.get("role", role) != role or (role == "lungs" and head and not said):
        found = f"weights for {said['role']!r}" if "role" in said else "a classification head (stage II)"
        raise CheckpointError(weights, f"weights for the role {role!r}", found)
    mean, std = preprocessing(encoder, name.pretraining if name else "imagenet")
    constants = {
        "role": role,
        "name": directory,
        "classification_head": head,
        "input_size": INPUT_SIZES[role],
        "mean": mean,
        "std": std,
        "threshold": THRESHOLDS[architecture] if role == "disease" else None,
    }
    return validated(path, {**constants, **said, "architecture": architecture, "encoder": encoder})
