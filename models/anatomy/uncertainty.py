"""How far shares and score could be off: what would count as diseased if the network were more or less sure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.anatomy.lungs import LungPair
from models.anatomy.severity import severity_score, zone_shares
from models.pixels import ProbabilityMap


class SpreadRule(BaseModel):
    """How wide an interval has to be, measured on radiographs that the network had not seen.

    Attributes:
        low, high: subtracted from and added to each pixel's logit, for the least and the most diseased area.
        coverage: how often the range of scores contained the readers' consensus, rounded up or down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    coverage: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """How far one radiograph's shares and score could be off.

    Attributes:
        shares: least and most diseased share of each zone in the reference's order; NaN for a lung that was not found.
        scores: lowest and highest severity 0..6; None if the radiograph cannot be scored.
        coverage: see ``SpreadRule``.
    """

    shares: tuple[tuple[float, float], ...]
    scores: tuple[int, int] | None
    coverage: float


def spread(pair: LungPair, disease: ProbabilityMap, rule: SpreadRule, threshold: float) -> Spread:
    """The intervals of one radiograph.

    Args:
        pair: the two lungs, masks bool [H, W].
        disease: float32 [H, W], stage II's probabilities on the same grid.
        threshold: a zone counts if its share is strictly above it.
    """
    # A logit above d is a probability above 1 / (1 + exp(-d)).
    least = zone_shares(pair, disease > 1 / (1 + exp(-rule.low)))
    most = zone_shares(pair, disease > 1 / (1 + exp(rule.high)))
    return Spread(tuple(zip(least, most, strict=True)), _score_range(least, most, threshold), rule.coverage)


def _score_range(least: Sequence[float], most: Sequence[float], threshold: float) -> tuple[int, int] | None:
    """The scores of the least and of the most shares; None if a share is not known."""
    first, last = severity_score(least, threshold), severity_score(most, threshold)
    return None if first is None or last is None else (first, last)
