"""How urgent a request is: 0 (first) to 7 (last), as the header ``Priority`` says (RFC 9218)."""

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

import http_sf

FIRST: Final = 0
DEFAULT: Final = 3
LAST: Final = 7
AGEING_SECONDS: Final = 4.0
"""A request that has waited for so long goes before new ones that are one step more urgent."""

_Dictionary: TypeAlias = dict[str, tuple[Any, dict[str, Any]]]
"""A parsed header: each member's value and its parameters."""
_MOST_CHARACTERS: Final = 256
"""A longer header is not read: parsing it would hold up all other requests."""


def urgency_in(priority: str) -> int:
    """The urgency in the value of a ``Priority`` header; the default where it has none or is not valid."""
    if not priority or len(priority) > _MOST_CHARACTERS:
        return DEFAULT
    try:
        fields = cast("_Dictionary", http_sf.parse(priority.encode(), tltype="dictionary"))
    except http_sf.StructuredFieldError:
        return DEFAULT
    value, _ = fields.get("u", (DEFAULT, {}))
    # A Boolean is an integer in Python, but not in a header.
    return value if type(value) is int and FIRST <= value <= LAST else DEFAULT


def is_urgent(urgency: int) -> bool:
    """Whether a request is more urgent than one that says nothing."""
    return urgency < DEFAULT


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """A request's place among all that wait: the lowest goes first.

    It does not change while the request waits. Thus no request is ever overtaken by one that comes more than
    ``(LAST - FIRST) * AGEING_SECONDS`` after it.

    Attributes:
        due: seconds of the clock that gave its arrival.
        urgent: what is not urgent does not begin while the request is under way.
    """

    due: float
    urgent: bool = field(default=False, compare=False)


def turn_of(urgency: int, arrived: float) -> Turn:
    """The turn of a request.

    Args:
        arrived: seconds of a clock that all requests share.
    """
    return Turn(arrived + urgency * AGEING_SECONDS, is_urgent(urgency))
