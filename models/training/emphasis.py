"""What stage II's fit lays weight on: radiographs of each kind in a batch, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.training.disease_loss import Weights


@dataclass(frozen=True)
class Emphasis:
    """Attributes:
    batch: radiographs of each of ``models.training.radiographs.KINDS`` in a batch.
    weights: of the loss.
    """

    batch: Mapping[str, int]
    weights: Weights


EMPHASES: Final[Mapping[str, Emphasis]] = {
    # Outlines first: healthy lungs are the classification head's to tell, and the map learns little from them.
    "outlines": Emphasis(
        {"masked": 3, "shares": 3, "child": 1, "adult": 2, "other": 1, "boxes": 1, "unscored": 1}, Weights()
    ),
    # Then what is no disease: healthy adults, and bedside radiographs with all that lies over their lungs.
    "adults": Emphasis(
        {"masked": 3, "shares": 4, "child": 1, "adult": 3, "other": 2, "boxes": 1, "unscored": 1},
        Weights(healthy=1.0, without_opacity=2.0, label=1.0),
    ),
}
