"""How the paper's eighteen networks were trained: the settings in the authors' scripts.

Source: the shell scripts and ``train_segmentation.py`` of the repository that Danilov et al. (Sci Rep 12:12791) name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.evaluation.configurations import CONFIGURATIONS, Configuration
from models.training.losses import LabelLoss, MapLoss
from models.training.optimisers import OptimiserName
from models.weights.architectures import canonical_architecture
from models.weights.cards import Role

EPOCHS: Final = 30
PATIENCE: Final = 10
LEAST_GAIN: Final = 0.01
"""Training ends if the validation radiographs' F1 score gains less than this in ``PATIENCE`` epochs."""


@dataclass(frozen=True)
class Preset:
    """One network's recipe.

    Attributes:
        loss: of the map.
        label_loss: of the classification head, which stage II's networks have; None: no head.
        rate: learning rate, constant.
        batch_size: radiographs per batch.
    """

    configuration: Configuration
    loss: MapLoss
    label_loss: LabelLoss | None
    optimiser: OptimiserName
    rate: float
    batch_size: int


_LUNGS: Final[Mapping[str, tuple[MapLoss, OptimiserName, float, int]]] = {
    "Unet": ("BCE", "Adam", 1e-4, 24),
    "Unet++": ("Jaccard", "Adam_amsgrad", 1e-3, 32),
    "DeepLabV3": ("Dice", "AdamW_amsgrad", 5e-4, 16),
    "DeepLabV3+": ("BCE", "AdamW", 5e-4, 20),
    "FPN": ("BCE", "Adam_amsgrad", 1e-3, 32),
    "Linknet": ("BCE", "AdamW", 1e-4, 24),
    "PSPNet": ("Dice", "Adam", 1e-4, 40),
    "PAN": ("Jaccard", "Adam_amsgrad", 1e-3, 32),
    "MAnet": ("Dice", "Adam_amsgrad", 1e-3, 24),
}
_DISEASE: Final[Mapping[str, tuple[MapLoss, LabelLoss, OptimiserName, float, int]]] = {
    "Unet": ("Dice", "SL1", "Adam_amsgrad", 1e-4, 12),
    "Unet++": ("Jaccard", "SL1", "Adam_amsgrad", 1e-4, 20),
    "DeepLabV3": ("Lovasz", "SL1", "Adam", 1e-2, 10),
    "DeepLabV3+": ("Jaccard", "L1", "Adam", 1e-3, 36),
    "FPN": ("Dice", "SL1", "AdamW_amsgrad", 5e-4, 64),
    "Linknet": ("Dice", "BCE", "AdamW", 1e-2, 48),
    "PSPNet": ("Dice", "BCE", "AdamW", 1e-3, 96),
    "PAN": ("BCE", "SL1", "AdamW_amsgrad", 5e-3, 48),
    "MAnet": ("Dice", "L1", "RMSprop", 1e-4, 18),
}


def preset(role: Role, architecture: str) -> Preset:
    """The recipe of one network in one stage.

    Raises:
        UnknownNetworkError: no such architecture.
    """
    name = canonical_architecture(architecture)
    configuration = next(item for item in CONFIGURATIONS if (item.role, item.architecture) == (role, name))
    if role == "lungs":
        loss, optimiser, rate, batch_size = _LUNGS[name]
        return Preset(configuration, loss, None, optimiser, rate, batch_size)
    loss, label_loss, optimiser, rate, batch_size = _DISEASE[name]
    return Preset(configuration, loss, label_loss, optimiser, rate, batch_size)
