"""What the checkpoints published with the paper (smp and timm of 2021) leave unsaid, as constants.

A published checkpoint is a plain state dict, ``weights.pth``, in a directory named
``<architecture>_<encoder>_<encoder weights>_<date>_<time>``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from models.weights.cards import Role
from models.weights.networks import is_timm_alias

Value = TypeVar("Value")
Triple = tuple[float, float, float]


INPUT_SIZES: Final[Mapping[Role, int]] = {"lungs": 384, "disease": 480}
"""The input size at which the published inference script ran every network of a stage."""

THRESHOLDS: Final[Mapping[str, float]] = {
    "MAnet": 0.31,
    "Unet": 0.30,
    "FPN": 0.26,
    "DeepLabV3+": 0.30,
    "Linknet": 0.15,
    "PSPNet": 0.38,
    "Unet++": 0.33,
    "PAN": 0.40,
    "DeepLabV3": 0.5,  # no optimum was published: the inference script's default
}
"""The diseased share over which a zone counts, fitted for every stage II network."""

_IMAGENET: Final[tuple[Triple, Triple]] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_INCEPTION: Final[tuple[Triple, Triple]] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_DPN: Final[tuple[Triple, Triple]] = (
    (124 / 255, 117 / 255, 104 / 255),
    (1 / (0.0167 * 255), 1 / (0.0167 * 255), 1 / (0.0167 * 255)),
)

_DIRECTORY = re.compile(
    r"(?P<architecture>[^_]+)_(?P<encoder>.+)_(?P<pretraining>[^_]+)_(?P<date>\d{6})_(?P<time>\d{4})"
)
_HEAD = "classification_head."
_DEEPLABV3_DECODER = {
    "decoder.0.": "decoder.aspp.",
    "decoder.1.": "decoder.conv.",
    "decoder.2.": "decoder.bn.",
}


@dataclass(frozen=True)
class PublishedName:
    """What a published checkpoint's directory name says.

    Attributes:
        architecture: as written there, such as ``DeepLabV3+``.
        encoder: such as ``timm-regnetx_032``.
        pretraining: the weights its encoder started from, such as ``imagenet`` or ``advprop``.
    """

    architecture: str
    encoder: str
    pretraining: str


def parse_directory(name: str) -> PublishedName | None:
    """Reads ``DeepLabV3+_timm-regnetx_032_imagenet_040921_1741``; None for any other kind of name."""
    match = _DIRECTORY.fullmatch(name)
    return PublishedName(match["architecture"], match["encoder"], match["pretraining"]) if match else None


def preprocessing(encoder: str, pretraining: str = "imagenet") -> tuple[Triple, Triple]:
    """Mean and standard deviation, on a scale of 0..1, that an encoder's pictures were normalised with.

    The library would ask a model hub for these, so they are kept here.
    """
    if encoder.startswith("dpn"):
        return _DPN
    if encoder.startswith(("inception", "xception")) or pretraining == "advprop":
        return _INCEPTION
    return _IMAGENET


def has_classification_head(keys: Mapping[str, object]) -> bool:
    """Whether a state dict belongs to a network that also answers a label."""
    return any(key.startswith(_HEAD) for key in keys)


def upgrade_keys(state: Mapping[str, Value], architecture: str, encoder: str) -> dict[str, Value]:
    """Renames the keys of a published state dict to those of today's network; the others stay.

    Args:
        state: key -> anything, keys as published or already as today.
        architecture: a key of ``ARCHITECTURES``.
        encoder: the encoder's name.
    """
    return {_upgrade_key(key, architecture, encoder): value for key, value in state.items()}


def _upgrade_key(key: str, architecture: str, encoder: str) -> str:
    if architecture == "DeepLabV3":
        for old, new in _DEEPLABV3_DECODER.items():
            if key.startswith(old):
                return new + key.removeprefix(old)
    if key.startswith("encoder.") and is_timm_alias(encoder):
        if not key.startswith("encoder.model."):
            key = "encoder.model." + key.removeprefix("encoder.")
        if encoder.startswith("timm-gernet"):
            key = key.replace(".stages.", ".stages_")
    return key
