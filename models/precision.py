"""The number formats that networks compute in."""

from typing import Final, Literal, TypeAlias

Precision: TypeAlias = Literal["float32", "bfloat16", "float16", "int8"]
"""Of most of a network's arithmetic; maps are float32 always."""
Form: TypeAlias = Literal["float", "int8"]
"""How a converted network's weights are kept: ``float`` computes in any format but int8."""

FASTEST_FIRST: Final[tuple[Precision, ...]] = ("int8", "bfloat16", "float16", "float32")
"""On a CPU."""


def form_of(precision: Precision) -> Form:
    """The form that a precision is computed from."""
    return "int8" if precision == "int8" else "float"
