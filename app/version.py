"""The version and build of the service, from the installed package's metadata."""

from importlib.metadata import version
from typing import Final

_NUMBER, _, _LOCAL = version("cxr-severity").partition("+")

VERSION: Final = _NUMBER
BUILD: Final = _LOCAL.removeprefix("g") or None
"""The commit, 12 digits, with ``.dirty`` where files differed from it; None where the build did not know it."""
