"""A radiograph on its way through the workflow, and what is said of it in the end."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np

from models.anatomy.lungs import LungPair, MaskView
from models.anatomy.placement import FoundMasks
from models.anatomy.severity import ZONES
from models.anatomy.uncertainty import Spread
from models.pixels import Mask, Pixels
from models.quality.drift import Measures

Polarity: TypeAlias = Literal["as_is", "auto"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a radiograph.

    Attributes:
        threshold: a share strictly over it counts; None takes the workflow's.
        polarity: ``auto`` inverts a picture that is found inverted, ``as_is`` only flags it.
        uncertainty: how far shares and score could be off is wanted as well.
    """

    threshold: float | None = None
    polarity: Polarity = "as_is"
    uncertainty: bool = False


PLAIN: Final = Question()
"""Nothing out of the ordinary."""


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What the workflow says of one radiograph.

    Attributes:
        score: 0..6, or None where the radiograph cannot be scored; ``flags`` say why.
        shares: six diseased shares in the reference's order (image-left lung's lower, middle, upper zone,
            then image-right's); NaN for a lung that was not found.
        threshold: a share strictly over it counts.
        margin: the smallest distance of a share to the threshold; None without a score.
        diseased_share: diseased area over lung area; None where no lung was found.
        disease_probability: of the classification head, 0..1; None without a head.
        flags: codes of ``models.quality``.
        masks: in the radiograph's own pixels; made when first asked for, not by two threads at once.
        measures: of ``models.quality.drift``, of the radiograph as it came.
        spread: how far shares and score could be off; None where that was not asked for.
    """

    score: int | None
    shares: tuple[float, ...]
    threshold: float
    margin: float | None
    diseased_share: float | None
    disease_probability: float | None
    flags: tuple[str, ...]
    masks: FoundMasks
    measures: Measures = field(default_factory=dict)
    spread: Spread | None = None

    @property
    def score_range(self) -> tuple[int, int] | None:
        """Least and most score; None where that was not asked for, or is not known."""
        return self.spread.scores if self.spread else None

    @property
    def lungs(self) -> Mask:
        """Bool [H, W] in the radiograph's own pixels."""
        return self.masks.lungs

    @property
    def disease(self) -> Mask:
        """Bool [H, W] in the radiograph's own pixels, within the lungs."""
        return self.masks.disease

    @property
    def zones(self) -> Pixels:
        """uint8 [H, W], 0 outside the lungs, 1..6 the zones in the order of ``shares``."""
        return self.masks.zones

    def affects(self, share: float) -> bool | None:
        """Whether a zone of that share counts; None without a score, for which no zone counts."""
        return None if self.score is None else share > self.threshold

    @property
    def by_zone(self) -> dict[str, float]:
        """The shares by the patient's side: ``right_upper`` is the patient's right lung."""
        return dict(zip(ZONES, self.shares, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A radiograph on its way to stage I.

    Attributes:
        picture: uint8 [S, S], the radiograph at stage I's input size.
        height, width: the radiograph's own size, pixels.
        flags: what came with it, and what the picture alone says.
        measures: of ``models.quality.drift``, of the radiograph as it came.
        corrected: it was found inverted, and ``picture`` is inverted back.
        own: uint8 [H, W], the radiograph's own pixels, inverted back where ``picture`` is; None where stage II does
            not need them.
    """

    picture: Pixels
    height: int
    width: int
    flags: tuple[str, ...]
    measures: Measures
    corrected: bool = False
    own: Pixels | None = None

    @property
    def as_it_came(self) -> Pixels:
        """``picture`` before it was corrected, uint8 [S, S]."""
        return np.asarray(255 - self.picture, np.uint8) if self.corrected else self.picture


@dataclass(frozen=True, slots=True, eq=False)
class Cropped:
    """A radiograph on its way to stage II.

    Attributes:
        prepared: what went into stage I.
        image: uint8 [h, w], what stage II sees: a part of stage I's picture, or that part of the radiograph at stage
            II's input size.
        view: where that part lies.
        lungs: bool [512, 512], the lungs in that part.
        pair: the two lungs in ``lungs``.
        flags: of ``prepared``, and what stage I's answer says.
        measures: of ``prepared``, and what stage I's answer says.
        refused: there is to be no score.
    """

    prepared: Prepared
    image: Pixels
    view: MaskView
    lungs: Mask
    pair: LungPair
    flags: tuple[str, ...]
    measures: Measures
    refused: bool
