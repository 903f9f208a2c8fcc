"""The number formats that networks compute in."""

from typing import Final, Literal, TypeAlias

Precision: TypeAlias = Literal["float32", "bfloat16", "float16", "int8"]
"""The format of most of a network's arithmetic; maps are always float32."""
Form: TypeAlias = Literal["float", "int8"]
"""How a converted network's weights are stored: ``float`` serves every format but int8."""

FASTEST_FIRST: Final[tuple[Precision, ...]] = ("int8", "bfloat16", "float16", "float32")
"""The order of speed on a CPU."""


def form_of(precision: Precision) -> Form:
    """The stored form that a network in this precision is loaded from."""
    return "int8" if precision == "int8" else "float"
