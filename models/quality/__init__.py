"""Why a radiograph should not be trusted, or not be scored."""

from models.quality.codes import (
    BORDERLINE,
    BURNED_IN,
    INVERTED_POLARITY,
    LOW_CONTRAST,
    LOW_RESOLUTION,
    LUNGS_CUT_OFF,
    LUNGS_MERGED,
    LUNGS_NOT_FOUND,
    MIRRORED,
    NOT_CHEST,
    NOT_FRONTAL,
    OVER_EXPOSED,
    REFUSING,
    ROTATED,
    SINGLE_LUNG,
    UNDER_EXPOSED,
    VIEW_UNKNOWN,
    refusal_reasons,
)
from models.quality.lungs import lung_flags, margin_flags, mask_flags
from models.quality.picture import picture_flags
from models.quality.rule import ChestRule, default_rule, load_rule, looks_inverted

__all__ = [
    "BORDERLINE",
    "BURNED_IN",
    "INVERTED_POLARITY",
    "LOW_CONTRAST",
    "LOW_RESOLUTION",
    "LUNGS_CUT_OFF",
    "LUNGS_MERGED",
    "LUNGS_NOT_FOUND",
    "MIRRORED",
    "NOT_CHEST",
    "NOT_FRONTAL",
    "OVER_EXPOSED",
    "REFUSING",
    "ROTATED",
    "SINGLE_LUNG",
    "UNDER_EXPOSED",
    "VIEW_UNKNOWN",
    "ChestRule",
    "default_rule",
    "load_rule",
    "looks_inverted",
    "lung_flags",
    "margin_flags",
    "mask_flags",
    "picture_flags",
    "refusal_reasons",
]
