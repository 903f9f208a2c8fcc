"""A radiograph between the workflow's steps, and its result at the end."""

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
    """What the caller asks about one radiograph.

    Attributes:
        threshold: a zone counts if its share is strictly above it; None takes the workflow's.
        polarity: ``auto`` inverts a picture that is found inverted, ``as_is`` only flags it.
        uncertainty: also work out how far shares and score could be off.
    """

    threshold: float | None = None
    polarity: Polarity = "as_is"
    uncertainty: bool = False


PLAIN: Final = Question()
"""The default question."""


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The workflow's result for one radiograph.

    Attributes:
        score: 0..6, or None where the radiograph cannot be scored; ``flags`` say why.
        shares: six diseased shares in the reference's order (image-left lung's lower, middle, upper zone,
            then image-right's); NaN for a lung that was not found.
        threshold: a zone counts if its share is strictly above it.
        margin: the smallest distance from a share to the threshold; None without a score.
        diseased_share: diseased area over lung area; None where no lung was found.
        disease_probability: the classification head's answer, 0..1; None without a head.
        flags: codes of ``models.quality``.
        masks: in the radiograph's own pixels; computed on first access, which must not happen in two threads at once.
        measures: those of ``models.quality.drift``, of the radiograph as received.
        spread: how far shares and score could be off; None if not asked for or not known.
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
        """Lowest and highest score; None if not asked for or not known."""
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
        """Whether a zone with this share counts towards the score; None without a score."""
        return None if self.score is None else share > self.threshold

    @property
    def by_zone(self) -> dict[str, float]:
        """The shares by the patient's side: ``right_upper`` is the patient's right lung."""
        return dict(zip(ZONES, self.shares, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A radiograph ready for stage I.

    Attributes:
        picture: uint8 [S, S], the radiograph at stage I's input size.
        height, width: the radiograph's own size, pixels.
        flags: those that came with it, and those found in the picture alone.
        measures: those of ``models.quality.drift``, of the radiograph as received.
        corrected: it was found inverted, and ``picture`` has been inverted back.
        own: uint8 [H, W], the radiograph's own pixels, inverted back if ``picture`` is; None if stage II does not need
            them.
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
        """``picture`` before any correction, uint8 [S, S]."""
        return np.asarray(255 - self.picture, np.uint8) if self.corrected else self.picture


@dataclass(frozen=True, slots=True, eq=False)
class Cropped:
    """A radiograph ready for stage II.

    Attributes:
        prepared: what went into stage I.
        image: uint8 [h, w], what stage II sees: a part of stage I's picture, or the same part of the radiograph at
            stage II's input size.
        view: where that part lies.
        lungs: bool [512, 512], the lungs in that part.
        pair: the two lungs in ``lungs``.
        flags: those of ``prepared``, and those found in stage I's answer.
        measures: those of ``prepared``, and those of stage I's answer.
        refused: no score will be given.
    """

    prepared: Prepared
    image: Pixels
    view: MaskView
    lungs: Mask
    pair: LungPair
    flags: tuple[str, ...]
    measures: Measures
    refused: bool
