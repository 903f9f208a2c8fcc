"""Programs of the system, which not every machine has."""

import shutil

import pytest


def program(name: str, package: str = "") -> str:
    """The path of a program; the test is skipped where it is missing.

    Args:
        package: of the system that brings it, where that has another name.
    """
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{package or name} is not installed")
    return path
