"""State dicts in files: parsed without running any code, and checked against a network."""

import io
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from models.weights.files import CheckpointError

State: TypeAlias = dict[str, Tensor]

# What torch.load(weights_only=True) raises on foreign, cut off, damaged or hostile bytes: it leaks whatever
# the zip reader, the unpickler's stack machine and the storages trip over.
_TORCH_ERRORS = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    pickle.UnpicklingError,
    RuntimeError,
    struct.error,
    TypeError,
    ValueError,
)
_SAFETENSORS_ERRORS = (SafetensorError, LookupError, RuntimeError, TypeError, ValueError)


def parse_safetensors(path: Path, data: bytes) -> State:
    """The tensors in the bytes of a safetensors file; ``path`` is for the error.

    Raises:
        CheckpointError: the bytes are anything else.
    """
    try:
        return load_safetensors(data)
    except _SAFETENSORS_ERRORS as error:
        raise CheckpointError(path, "a whole safetensors file", f"other bytes ({_short(error)})") from error


def parse_torch(path: Path, data: bytes) -> State:
    """The state dict in the bytes of a ``torch.save`` file; no code in it is run. ``path`` is for the error.

    Raises:
        CheckpointError: the bytes are anything else.
    """
    expected = "a PyTorch state dict"
    if not data:
        raise CheckpointError(path, expected, "an empty file")
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, expected, "foreign bytes or pickled code, which is never run") from error
    except _TORCH_ERRORS as error:
        raise CheckpointError(path, expected, f"a damaged or foreign file ({_short(error)})") from error
    if not isinstance(state, dict):
        raise CheckpointError(path, expected, f"a {type(state).__name__}")
    if not state:
        raise CheckpointError(path, expected, "one without tensors")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(path, expected, f"a {type(value).__name__} under the key {key!r}")
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            raise CheckpointError(path, "plain dense tensors", f"another kind under the key {key!r}")
    return dict(state)


def check_state(path: Path, state: Mapping[str, Tensor], network: nn.Module) -> None:
    """Refuses a state dict that is not exactly the network's, or that holds NaN or infinity.

    Raises:
        CheckpointError: keys are missing, unexpected, or of another shape or type (the first few are named,
            all are counted), or a tensor has NaN or infinity in it.
    """
    own = network.state_dict()
    shared = [key for key in own if key in state]
    faults = {
        "missing": [key for key in own if key not in state],
        "unexpected": [key for key in state if key not in own],
        "of another shape": [
            f"{key} ({tuple(state[key].shape)} for {tuple(own[key].shape)})"
            for key in shared
            if state[key].shape != own[key].shape
        ],
        "of another type": [
            f"{key} ({state[key].dtype} for {own[key].dtype})"
            for key in shared
            if state[key].is_floating_point() != own[key].is_floating_point()
        ],
    }
    found = "; ".join(f"{len(keys)} {kind}: {_few(keys)}" for kind, keys in faults.items() if keys)
    if found:
        raise CheckpointError(path, f"the {len(own)} tensors of {type(network).__name__}", found)
    broken = [key for key, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        found = f"{len(broken)} tensors with NaN or infinity: {_few(broken)}"
        raise CheckpointError(path, "finite weights", found)


def _short(error: BaseException) -> str:
    """The first sentence of a library's message: the rest gives advice that does not apply here."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0][:120] if lines else type(error).__name__


def _few(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
