"""Which version and which build of it this is, as the installed package's metadata say."""

from importlib.metadata import version
from typing import Final

_NUMBER, _, _LOCAL = version("cxr-severity").partition("+")

VERSION: Final = _NUMBER
BUILD: Final = _LOCAL.removeprefix("g") or None
"""The commit, 12 digits, ``.dirty`` where files differed from it; None where it was not known at the build."""
