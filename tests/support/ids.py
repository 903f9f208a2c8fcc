"""What the cases of a parametrised test are called."""

from collections.abc import Mapping
from collections.abc import Set as AnySet
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydicom import Dataset, Sequence

LONGEST = 60


def said(value: object) -> str | None:
    """What pytest would number, in a few words; None for what it names well itself."""
    if isinstance(value, str | bytes) and len(value) <= LONGEST:
        return None
    if value is None or isinstance(value, bool | int | float | complex | type):
        return None
    words = f"{len(value)} bytes" if isinstance(value, bytes) else _said(value)
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in words)[:LONGEST] or "nothing"


def _said(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        found = {each.name: getattr(value, each.name) for each in fields(value)}
        value = {each.name: found[each.name] for each in fields(value) if found[each.name] not in (each.default, {})}
    match value:
        case Mapping():
            return ", ".join(f"{name}={_said(each)}" for name, each in value.items())
        case AnySet():
            return ", ".join(sorted(map(_said, value)))
        case Dataset():
            return " ".join(_said(element.value) for element in value)
        case tuple() | list() | Sequence():
            return ", ".join(map(_said, value))
        case np.ndarray():
            return f"{value.dtype} {'x'.join(map(str, value.shape))}"
        case BaseException():
            return f"{type(value).__name__} {value}"
        case bytes():
            return value.decode("ascii", "backslashreplace")
        case slice():
            return f"{value.start} to {value.stop}"
    return str(getattr(value, "__name__", value))
