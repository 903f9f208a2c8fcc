"""Converts PyTorch networks to OpenVINO, for the CPU engine."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
from openvino.passes import ConstantFolding, Manager
from torch import Tensor, nn

from models.runtime.errors import ConversionError

TOLERANCE = 1e-3
"""How far a probability may move; the same arithmetic in another order moves it by half of this at worst."""


def convert(network: nn.Module, input_size: int) -> ov.Model:
    """Converts a network for OpenVINO: float32 [1, 3, input_size, input_size] to the network's answer.

    Args:
        network: in eval mode, float32, on the CPU.

    Raises:
        ConversionError: it cannot be exported or compiled, its answers change when it is, or it gives the same answer
            to all pictures.
    """
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(1, 3, input_size, input_size, generator=generator) for _ in range(2))
    try:
        model = _exported(network, one)
    except Exception as error:  # an exporter runs the network's own code, which may raise anything
        raise ConversionError(f"{type(network).__name__} cannot be exported: {_first_line(error)}") from error
    if len(model.inputs) != 1:
        raise ConversionError(f"{type(network).__name__} does not look at its picture")
    try:
        _fix_shape(model, one.shape)
        compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = [torch.from_numpy(np.array(value)) for value in compiled(other.numpy()).values()]
    except RuntimeError as error:
        raise ConversionError(f"{type(network).__name__} cannot be compiled: {_first_line(error)}") from error
    for expected, answer in zip(_answers(network, other), found, strict=True):
        if not torch.allclose(answer.view(expected.shape), expected, rtol=0, atol=TOLERANCE, equal_nan=True):
            raise ConversionError(f"{type(network).__name__} answers otherwise when it is exported")
    return model


def _exported(network: nn.Module, example: Tensor) -> ov.Model:
    """Exports without folding: the constants are then the weights themselves, which float16 may keep exactly."""
    with _quiet(), torch.no_grad():
        decoder = TorchFXPythonDecoder.from_exported_program(torch.export.export(network, (example,)))
        frontend = FrontEndManager().load_by_framework("pytorch")
        loaded = frontend.load(decoder)
        return frontend.convert(loaded)


def _fix_shape(model: ov.Model, shape: Sequence[int]) -> None:
    """Gives the input one shape, in place."""
    model.reshape(list(shape))
    passes = Manager()
    passes.register_pass(ConstantFolding())  # of shapes, which are fixed now
    passes.run_passes(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops OpenVINO's progress messages in the root logger; named loggers are left alone."""
    logging.root.addFilter(_nothing)
    try:
        yield
    finally:
        logging.root.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _answers(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        answer: Any = network(images)
    return tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
