"""The optimisers of the paper's search, by its names."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

OptimiserName: TypeAlias = Literal["SGD", "RMSprop", "Adam", "AdamW", "Adam_amsgrad", "AdamW_amsgrad"]


def build_optimiser(
    name: OptimiserName, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float | None = None
) -> torch.optim.Optimizer:
    """Builds the optimiser of that name.

    Args:
        rate: learning rate.
        weight_decay: None is PyTorch's default for the optimiser.
    """
    given: dict[str, Any] = {} if weight_decay is None else {"weight_decay": weight_decay}
    match name:
        case "SGD":
            return torch.optim.SGD(parameters, rate, **given)
        case "RMSprop":
            return torch.optim.RMSprop(parameters, rate, **given)
        case "Adam" | "Adam_amsgrad":
            return torch.optim.Adam(parameters, rate, amsgrad=name == "Adam_amsgrad", **given)
        case "AdamW" | "AdamW_amsgrad":
            return torch.optim.AdamW(parameters, rate, amsgrad=name == "AdamW_amsgrad", **given)
