"""Parts of a network by their dotted names."""

from torch import nn


def replace_submodule(network: nn.Module, name: str, module: nn.Module) -> None:
    """Puts ``module`` where ``network.get_submodule(name)`` was."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
