"""The published reference's figures, and the formulas its inputs were made by (tests/golden/checkpoints)."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.support import ROOT

CHECKPOINTS = ROOT / "tests" / "golden" / "checkpoints"
IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""What pictures are normalised by."""


def cases() -> list[str]:
    """The stems of all golden checkpoints, for parametrisation."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.json"))


def read_case(stem: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((CHECKPOINTS / f"{stem}.json").read_text())
    return case


def fill(key: str, shape: Sequence[int]) -> NDArray[Any]:
    """The reference's weights for one key of a state dict."""
    rs = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    x = np.asarray(rs.standard_normal(size=tuple(shape))).astype(np.float32)
    if key.endswith("running_var"):
        return (1 + 0.1 * np.abs(x)).astype(np.float32)
    if key.endswith("running_mean"):
        return (0.1 * x).astype(np.float32)
    if len(shape) >= 2:
        return (x * np.float32(np.sqrt(1.0 / np.prod(shape[1:])))).astype(np.float32)
    if key.endswith("weight"):
        return (1 + 0.1 * x).astype(np.float32)
    return (0.1 * x).astype(np.float32)


def filled(keys: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A state dict by formula."""
    return {key: torch.from_numpy(np.asarray(fill(key, shape))) for key, shape in keys.items()}


def image(size: int, seed: int) -> NDArray[np.uint8]:
    """The reference's picture, uint8 [size, size, 3], three equal channels."""
    rs = np.random.RandomState(seed)
    y, x = np.mgrid[0:size, 0:size].astype(np.float64) / size
    v = np.zeros((size, size))
    for _ in range(12):
        fx, fy, p, a = rs.uniform(0, 8), rs.uniform(0, 8), rs.uniform(0, 6.28), rs.uniform(0.2, 1)
        v += a * np.sin(2 * np.pi * (fx * x + fy * y) + p)
    v = (v - v.min()) / (v.max() - v.min())
    g = np.rint(v * 255).astype(np.uint8)
    return np.stack([g, g, g], 2)


def network_input(size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The golden picture as a network takes it, float32 [1, 3, size, size]."""
    pixels = image(size, seed=1).astype(np.float64) / 255
    normalised = (pixels - np.asarray(mean)) / np.asarray(std)
    return torch.from_numpy(normalised.transpose(2, 0, 1)[None].astype(np.float32))
