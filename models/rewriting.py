"""Parts of a network exchanged in place for others, and whether it still answers the same."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4
"""How far a probability may move; rounding alone moves it by a twentieth of this."""

Shapes: TypeAlias = tuple[torch.Size | None, ...]
"""Of what a module is called with by position; None for what is no tensor."""


def replace_submodule(network: nn.Module, name: str, module: nn.Module) -> None:
    """Puts ``module`` where ``network.get_submodule(name)`` was."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def example_of(count: int, side: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pictures of noise [count, 3, side, side] in 0..1, channels last, the same ones each time."""
    pictures = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(count), dtype=dtype)
    return pictures.to(memory_format=torch.channels_last)


def answers(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """The map, and the label where there is a head."""
    with torch.inference_mode():
        answer = network(images)
    return answer if isinstance(answer, tuple) else (answer,)


def answers_alike(network: nn.Module, example: Tensor, before: tuple[Tensor, ...]) -> bool:
    """Whether a network that was changed in place still answers ``example`` as ``before``, within ``TOLERANCE``."""
    after = answers(network, example)
    return all(torch.allclose(one, other, rtol=0, atol=TOLERANCE) for one, other in zip(before, after, strict=True))


def exchange(network: nn.Module, example: Tensor, substitute: Callable[[nn.Module, Shapes], nn.Module | None]) -> bool:
    """Exchanges, in place, each part that ``substitute`` has another one for; not what is inside of such a part.

    Args:
        network: in eval mode.
        example: what it is run with, before and after.
        substitute: asked of each part that runs, with the shapes of its first call.

    Returns:
        Whether any was. Where the network answers otherwise with them it is left as it was.
    """
    shapes, before = _run(network, example)
    exchanged: dict[str, nn.Module] = {}
    for name, module in list(network.named_modules()):
        is_inside = any(name.startswith(f"{other}.") for other in exchanged)
        if name in shapes and not is_inside and (other := substitute(module, shapes[name])) is not None:
            exchanged[name] = module
            replace_submodule(network, name, other)
    try:
        alike = bool(exchanged) and answers_alike(network, example, before)
    except AttributeError:
        # It reaches into a part that is another one now.
        alike = False
    if not alike:
        for name, module in exchanged.items():
            replace_submodule(network, name, module)
    return alike


def _run(network: nn.Module, example: Tensor) -> tuple[dict[str, Shapes], tuple[Tensor, ...]]:
    """What each part below the network itself is called with first, by its name; and the network's answer."""
    shapes: dict[str, Shapes] = {}

    def look(name: str, module: nn.Module, inputs: tuple[object, ...]) -> None:
        shapes.setdefault(name, tuple(value.shape if isinstance(value, Tensor) else None for value in inputs))

    handles = [
        module.register_forward_pre_hook(partial(look, name)) for name, module in network.named_modules() if name
    ]
    answer = answers(network, example)
    for handle in handles:
        handle.remove()
    return shapes, answer
