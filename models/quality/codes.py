"""The stable codes of what may be wrong with a radiograph, and which of them leave it without a score."""

from collections.abc import Iterable

NOT_CHEST = "not_chest"
NOT_FRONTAL = "not_frontal"
VIEW_UNKNOWN = "view_unknown"
BURNED_IN = "burned_in_annotation"
FOR_PROCESSING = "for_processing"
DAMAGED_HEADER = "damaged_header"
INVERTED_POLARITY = "inverted_polarity"
ROTATED = "rotated"
LOW_RESOLUTION = "low_resolution"
LOW_CONTRAST = "low_contrast"
OVER_EXPOSED = "over_exposed"
UNDER_EXPOSED = "under_exposed"
LUNGS_NOT_FOUND = "lungs_not_found"
SINGLE_LUNG = "single_lung"
LUNGS_MERGED = "lungs_merged"
LUNGS_CUT_OFF = "lungs_cut_off"
MIRRORED = "mirrored"
BORDERLINE = "borderline"

ALL = (
    NOT_CHEST,
    NOT_FRONTAL,
    VIEW_UNKNOWN,
    BURNED_IN,
    FOR_PROCESSING,
    DAMAGED_HEADER,
    INVERTED_POLARITY,
    ROTATED,
    LOW_RESOLUTION,
    LOW_CONTRAST,
    OVER_EXPOSED,
    UNDER_EXPOSED,
    LUNGS_NOT_FOUND,
    SINGLE_LUNG,
    LUNGS_MERGED,
    LUNGS_CUT_OFF,
    MIRRORED,
    BORDERLINE,
)
"""Every code there is."""

REFUSING = frozenset({NOT_CHEST, NOT_FRONTAL, ROTATED, LUNGS_NOT_FOUND, SINGLE_LUNG})
"""Flags with which a radiograph gets no score. An inverted one that is not inverted back gets none either."""


def refusal_reasons(flags: Iterable[str]) -> tuple[str, ...]:
    """The flags because of which a radiograph got no score."""
    return tuple(flag for flag in flags if flag in REFUSING or flag == INVERTED_POLARITY)
