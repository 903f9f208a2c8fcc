"""The groups of radiographs that figures are given for."""

from collections.abc import Callable, Mapping
from typing import Final

from models.pack import Case

HEALTHY_ADULTS: Final = "healthy adults"
BEDSIDE: Final = "bedside (AP) without opacity"
OTHER: Final = "other findings, no opacity"
OPACITIES: Final = "opacities"
COVID: Final = "COVID-19"
CHILDREN: Final = "healthy children"

GROUPS: Final[Mapping[str, Callable[[Case], bool]]] = {
    HEALTHY_ADULTS: lambda case: case.is_adult_normal,
    BEDSIDE: lambda case: case.is_without_opacity and case.view.startswith("AP"),
    OTHER: lambda case: case.label == "Other",
    OPACITIES: lambda case: case.is_pneumonia,
    COVID: lambda case: case.is_scored_covid,
    CHILDREN: lambda case: case.is_normal and not case.is_adult_normal,
}
"""By name; a radiograph may be in none of them, or in two."""

MIXTURE: Final[Mapping[str, int]] = {COVID: 55, CHILDREN: 44, HEALTHY_ADULTS: 36}
"""How many of each group the paper's test part has: the paper's severity error is for this mixture."""


def of_mixture(errors: Mapping[str, float]) -> float:
    """The mean of the groups' errors, weighted as in the paper's test part.

    Args:
        errors: of each group of ``MIXTURE``; one that is NaN makes the mean NaN.
    """
    return sum(count * errors[group] for group, count in MIXTURE.items()) / sum(MIXTURE.values())
