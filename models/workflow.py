"""The two stages in order: a radiograph in, an ``Analysis`` out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np

from models import quality
from models.analysis import PLAIN, Analysis, Cropped, Polarity, Prepared, Question
from models.anatomy.cropping import own_crop
from models.anatomy.lungs import (
    Box,
    MaskView,
    TwoLungRule,
    clean_lungs,
    lungs_box,
    min_component_area,
    separate_lungs,
)
from models.anatomy.placement import PlacedMasks, Placement
from models.anatomy.severity import diseased_share, severity_score, threshold_margin, zone_shares
from models.anatomy.uncertainty import Spread, SpreadRule, spread
from models.pixels import Mask, Pixels, ProbabilityMap
from models.quality import drift
from models.runtime.stage import Stage

Crop: TypeAlias = Literal["single_crop", "crop", "no_crop"]

DEFAULT_THRESHOLD = 0.31
"""The published optimum of MA-Net, the paper's best stage II."""
GRID = 512
"""Side of the square on which lungs and disease are compared, as in the published code."""


class Workflow:
    """Both stages with the rules between and after them.

    The three steps on the host (``prepare``, ``crop_lungs``, ``conclude``) each handle one radiograph and may run
    in any thread; between them, a stage's ``run`` takes a batch of any radiographs.

    The attributes are the constructor's arguments.
    """

    def __init__(
        self,
        lungs: Stage,
        disease: Stage,
        threshold: float | None = None,
        crop: Crop = "single_crop",
        two_lung_rule: TwoLungRule = "robust",
        chest_rule: quality.ChestRule | None = None,
    ) -> None:
        """Joins two stages to a workflow.

        Args:
            threshold: a zone counts if its share is strictly above it; None takes the disease card's, or
                ``DEFAULT_THRESHOLD`` for a network without a card.
            crop: what stage II sees: ``single_crop`` the box around the cleaned lungs, black outside them; ``crop``
                the whole picture, black outside the raw lung mask; ``no_crop`` the whole picture.
            two_lung_rule: see ``models.anatomy.lungs.separate_lungs``.
            chest_rule: recognises what is not a frontal chest radiograph; None takes the package's rule if it was
                fitted for this stage I, and otherwise no rule.

        Raises:
            ValueError: a threshold outside 0..1, or an unknown rule.
        """
        if threshold is None:
            kept = disease.card.threshold if disease.card else None
            threshold = DEFAULT_THRESHOLD if kept is None else kept
        if not 0 <= threshold <= 1:
            raise ValueError(f"expected a threshold in 0..1, found {threshold}")
        if crop not in get_args(Crop) or two_lung_rule not in get_args(TwoLungRule):
            raise ValueError(f"expected a known crop and two-lung rule, found {crop!r} and {two_lung_rule!r}")
        self.lungs = lungs
        self.disease = disease
        self.threshold = threshold
        self.crop = crop
        self.two_lung_rule = two_lung_rule
        if chest_rule is None and lungs.card and lungs.card.sha256 == quality.default_rule().fitted_for:
            chest_rule = quality.default_rule()
        self.chest_rule = chest_rule
        self.own_pixels = (
            crop == "single_crop" and disease.card is not None and disease.card.crop_pixels == "radiograph"
        )
        own_limit = lungs.card.min_lung_area if lungs.card else None
        self.min_lung_area = own_limit if own_limit is not None else min_component_area(lungs.input_size)

    def analyse(self, pixels: Pixels, threshold: float | None = None, uncertainty: bool = False) -> Analysis:
        """Analyses one radiograph, uint8 [H, W] or [H, W, 3] (RGB; read as gray).

        Args:
            uncertainty: also work out how far shares and score could be off.

        Raises:
            ValueError: another shape or dtype.
        """
        return self.analyse_batch([pixels], threshold, uncertainty)[0]

    def analyse_batch(
        self, radiographs: Sequence[Pixels], threshold: float | None = None, uncertainty: bool = False
    ) -> list[Analysis]:
        """Analyses several radiographs of any sizes; each stage runs once over all of them."""
        if not radiographs:
            return []
        prepared = [self.prepare(pixels) for pixels in radiographs]
        maps, _ = self.lungs.run([item.picture for item in prepared])
        cropped = [self.crop_lungs(item, lung_map) for item, lung_map in zip(prepared, maps, strict=True)]
        maps, labels = self.disease.run([self.disease.prepare(item.image) for item in cropped])
        found = [None] * len(cropped) if labels is None else [float(label) for label in labels]
        question = Question(threshold, uncertainty=uncertainty)
        return [self.conclude(*item, question) for item in zip(cropped, maps, found, strict=True)]

    def prepare(self, pixels: Pixels, flags: Sequence[str] = (), polarity: Polarity = "as_is") -> Prepared:
        """The radiograph at stage I's input size: 8-bit, bilinear (OpenCV).

        Args:
            flags: codes of ``models.quality`` that come with the radiograph.
            polarity: ``auto`` inverts a picture that is found inverted, ``as_is`` only flags it.
        """
        gray = _as_gray(pixels)
        picture = self._resized(gray)
        height, width = gray.shape
        found, measures = quality.picture_flags(picture, height, width), drift.picture_measures(picture, height, width)
        corrected = False
        if quality.looks_inverted(picture):
            found = (quality.INVERTED_POLARITY, *found)
            corrected = polarity == "auto"
        if corrected:
            # Invert before resizing, so that the networks see exactly the gray levels of a correct picture.
            gray = np.asarray(255 - gray, np.uint8)
            picture = self._resized(gray)
        own = gray if self.own_pixels else None
        return Prepared(picture, height, width, (*dict.fromkeys((*flags, *found)),), measures, corrected, own)

    def _resized(self, gray: Pixels) -> Pixels:
        size = (self.lungs.input_size, self.lungs.input_size)
        return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    def crop_lungs(self, prepared: Prepared, lung_map: ProbabilityMap) -> Cropped:
        """What stage II sees of a radiograph, given stage I's map float32 [S, S]."""
        raw = lung_map > 0.5
        whole = Box(0, 0, raw.shape[1], raw.shape[0])
        mask = clean_lungs(raw, self.min_lung_area)
        if self.crop == "single_crop":
            # Without a lung the published code leaves out the last row and column.
            box = lungs_box(mask) or Box(0, 0, whole.width - 1, whole.height - 1)
            rows, columns = box.slices
            if prepared.own is None:
                image = prepared.picture[rows, columns] * mask[rows, columns]
            else:
                image = own_crop(prepared.own, mask, box, self.disease.input_size)
            grid = _on_grid(mask[rows, columns])
        elif self.crop == "crop":
            box, image, grid = whole, prepared.picture * raw, _on_grid(raw)
        else:
            box, image = whole, prepared.picture
            grid = cv2.resize(lung_map, (GRID, GRID), interpolation=cv2.INTER_LINEAR) > 0.5
        view = MaskView(box, self.lungs.input_size)
        pair = separate_lungs(grid, self.two_lung_rule, view)
        flags = (*self._doubts(prepared, lung_map, mask), *quality.lung_flags(pair))
        measures = {**prepared.measures, **drift.lung_measures(prepared.as_it_came, mask)}
        return Cropped(prepared, image, view, grid, pair, flags, measures, self._refuses(prepared, flags))

    def _doubts(self, prepared: Prepared, lung_map: ProbabilityMap, mask: Mask) -> tuple[str, ...]:
        """The flags so far, and those found in stage I's map and its cleaned mask."""
        inverted = quality.INVERTED_POLARITY in prepared.flags and not prepared.corrected
        judged = self.chest_rule.flags(prepared.picture, lung_map, inverted) if self.chest_rule else ()
        found = (*prepared.flags, *judged, *quality.mask_flags(prepared.picture, mask))
        return tuple(dict.fromkeys(found))

    def _refuses(self, prepared: Prepared, flags: Sequence[str]) -> bool:
        # Without a rule fitted for it a network may take pictures of any kind, whose polarity is only a guess.
        inverted = self.chest_rule is not None and quality.INVERTED_POLARITY in flags and not prepared.corrected
        return inverted or not quality.REFUSING.isdisjoint(flags)

    @property
    def spread_rule(self) -> SpreadRule | None:
        """How wide intervals are; None if that was not measured for stage II's weights."""
        return self.disease.card.spread if self.disease.card else None

    def conclude(
        self, cropped: Cropped, disease_map: ProbabilityMap, label: float | None, question: Question = PLAIN
    ) -> Analysis:
        """Shares, score and masks from stage II's map float32 [h, w] and its label."""
        threshold = self.threshold if question.threshold is None else question.threshold
        probabilities = np.asarray(cv2.resize(disease_map, (GRID, GRID), interpolation=cv2.INTER_LINEAR), np.float32)
        if label is not None and np.rint(label) == 0:
            probabilities = np.zeros_like(probabilities)
        pair, disease = cropped.pair, probabilities > 0.5
        shares = zone_shares(pair, disease)
        margin = None if cropped.refused else threshold_margin(shares, threshold)
        lungs = cropped.lungs if self.two_lung_rule == "reference" else pair.mask(cropped.lungs.shape)
        diseased = diseased_share(lungs, disease)
        placement = Placement(cropped.prepared.height, cropped.prepared.width, cropped.view, GRID)
        return Analysis(
            score=None if cropped.refused else severity_score(shares, threshold),
            shares=shares,
            threshold=threshold,
            margin=margin,
            diseased_share=diseased,
            disease_probability=label,
            flags=cropped.flags + quality.margin_flags(margin),
            masks=PlacedMasks(placement, pair, lungs if self.two_lung_rule == "reference" else None, disease),
            spread=self._spread(cropped, probabilities, threshold) if question.uncertainty else None,
            measures=cropped.measures if diseased is None else {**cropped.measures, "diseased_share": diseased},
        )

    def _spread(self, cropped: Cropped, probabilities: ProbabilityMap, threshold: float) -> Spread | None:
        if self.spread_rule is None:
            return None
        found = spread(cropped.pair, probabilities, self.spread_rule, threshold)
        return replace(found, scores=None) if cropped.refused else found


def _as_gray(pixels: Pixels) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ValueError(f"expected uint8 [H, W] or [H, W, 3], found {pixels.dtype} {list(pixels.shape)}")
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] != 3:
        raise ValueError(f"expected uint8 [H, W] or [H, W, 3], found {pixels.dtype} {list(pixels.shape)}")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _on_grid(mask: Mask) -> Mask:
    return np.asarray(cv2.resize(mask.view(np.uint8), (GRID, GRID), interpolation=cv2.INTER_LINEAR)).view(np.bool_)
