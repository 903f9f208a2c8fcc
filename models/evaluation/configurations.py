"""The eighteen networks of Danilov et al. (Sci Rep 12:12791), and what the paper's Figure 2 says they cost.

Architectures and encoders are those of the published checkpoints, input sizes the published optima; DeepLabV3's for
stage II is that of the inference script, as none was published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.weights.cards import Role


@dataclass(frozen=True)
class Configuration:
    """One network of the paper.

    Attributes:
        architecture: a key of ``models.weights.networks.ARCHITECTURES``.
        encoder: as the checkpoint's directory names it.
        input_size: side of its input, pixels.
    """

    role: Role
    architecture: str
    encoder: str
    input_size: int


@dataclass(frozen=True)
class Cost:
    """What both stages cost together, with DeepLabV3+ as stage I: the paper's Figure 2.

    Attributes:
        mae: severity error on the test subset.
        images_per_second: on an RTX 2080 Ti.
        parameters: in millions.
        macs: multiply-accumulates in thousands of millions (GMAC).
    """

    mae: float
    images_per_second: float
    parameters: float
    macs: float


CONFIGURATIONS: Final = (
    Configuration("lungs", "Unet", "se_resnext101_32x4d", 384),
    Configuration("lungs", "Unet++", "efficientnet-b1", 384),
    Configuration("lungs", "DeepLabV3", "efficientnet-b0", 512),
    Configuration("lungs", "DeepLabV3+", "efficientnet-b1", 512),
    Configuration("lungs", "FPN", "efficientnet-b0", 544),
    Configuration("lungs", "Linknet", "timm-regnetx_064", 480),
    Configuration("lungs", "PSPNet", "timm-regnety_064", 480),
    Configuration("lungs", "PAN", "efficientnet-b0", 512),
    Configuration("lungs", "MAnet", "efficientnet-b2", 512),
    Configuration("disease", "Unet", "dpn98", 544),
    Configuration("disease", "Unet++", "timm-regnety_032", 480),
    Configuration("disease", "DeepLabV3", "efficientnet-b2", 480),
    Configuration("disease", "DeepLabV3+", "timm-regnetx_032", 480),
    Configuration("disease", "FPN", "efficientnet-b0", 384),
    Configuration("disease", "Linknet", "efficientnet-b0", 416),
    Configuration("disease", "PSPNet", "efficientnet-b0", 384),
    Configuration("disease", "PAN", "se_resnet50", 416),
    Configuration("disease", "MAnet", "timm-regnetx_064", 544),
)

STAGE_I: Final = "DeepLabV3+"
"""The paper's stage I in all of Figure 2."""

FIGURE_2: Final[Mapping[str, Cost]] = {
    "MAnet": Cost(0.296, 7.9, 111.3, 81.9),
    "Unet": Cost(0.326, 6.5, 78.7, 118.0),
    "FPN": Cost(0.356, 9.4, 13.2, 6.7),
    "DeepLabV3+": Cost(0.363, 10.2, 23.5, 22.3),
    "Linknet": Cost(0.378, 11.2, 11.6, 2.7),
    "PSPNet": Cost(0.378, 12.5, 11.5, 2.3),
    "Unet++": Cost(0.400, 8.9, 34.6, 56.7),
    "PAN": Cost(0.533, 9.8, 34.2, 24.7),
    "DeepLabV3": Cost(1.474, 8.9, 18.6, 14.9),
}
"""By stage II's architecture, the smallest error first."""

OTHER_ERRORS: Final[Mapping[str, float]] = {"COVID-Net-S": 1.830, "BS-Net": 2.519}
"""Severity MAE of the other systems on the paper's test subset."""
