"""Describes in words what is wrong with a request's query parameters."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

_Context: TypeAlias = Mapping[str, Any]

_LONGEST: Final = 40
"""Characters of an unknown parameter's name that the answer repeats."""
_WANTED: Final[Mapping[str, Callable[[_Context], str]]] = {
    "bool_parsing": lambda _: "true or false",
    "float_parsing": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "greater_than_equal": lambda limits: f"{limits['ge']:g} or more",
    "less_than_equal": lambda limits: f"{limits['le']:g} or less",
    "literal_error": lambda choice: str(choice["expected"]).replace("'", ""),
}
"""What would have been right, by pydantic's name for the fault."""


def describe_faults(faults: Sequence[Mapping[str, Any]], known: Sequence[str]) -> str:
    """Describes each fault and says what would have been right.

    Args:
        faults: as pydantic lists them.
        known: the names of the route's parameters.
    """
    return "; ".join(_describe(str(fault["loc"][-1]), fault["type"], fault.get("ctx", {}), known) for fault in faults)


def _describe(name: str, kind: str, context: _Context, known: Sequence[str]) -> str:
    if kind == "extra_forbidden":
        nearest = get_close_matches(name.lower(), known, n=1)
        hint = f"perhaps {nearest[0]} is meant" if nearest else f"there are {', '.join(known)}"
        return f"{name[:_LONGEST]}: no such parameter; {hint}"
    wanted = _WANTED[kind](context) if kind in _WANTED else "another value"
    return f"{name}: expected {wanted}"
