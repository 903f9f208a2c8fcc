"""The operating point of stage II, chosen by cross-validation by patient: one split is too small for it.

Two numbers are chosen: a shift of the logits (a network fitted on few masks marks too little of what it has not
seen) and the threshold over which a zone's diseased share counts.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np

from models.evaluation import dice
from models.pack import Case, patient_folds
from models.pixels import ProbabilityMap
from models.severity import severity_score
from models.stage import Stage
from models.workflow import Workflow

logger = logging.getLogger(__name__)

SHIFTS = tuple(step / 4 for step in range(-14, 23))
"""Those at which held-out radiographs are judged: ``CHOSEN_FROM`` and three to either side, for intervals."""
CHOSEN_FROM = tuple(step / 4 for step in range(-2, 11))
THRESHOLDS = tuple(step / 100 for step in range(5, 71))
ADULTS_LIMIT = 0.5
"""Most severity error of adult normals: they are too few for ``Choice.cost`` to notice, and patients are adults."""


@dataclass(frozen=True)
class HeldOut:
    """What a network that saw no radiograph of the case's patient says of it, at each of ``SHIFTS``.

    Attributes:
        shares: six zone shares a shift, the reference's order; NaN for a lung that was not found.
        dice: of the disease mask, a shift; empty without a drawn mask.
        fold: its number.
    """

    case: Case
    shares: tuple[tuple[float, ...], ...]
    dice: tuple[float, ...]
    fold: int = 0


@dataclass(frozen=True)
class Choice:
    """The operating point and its figures on held-out radiographs.

    Attributes:
        shift: added to the logits.
        threshold: a share strictly over it counts.
        covid, normals, adults: severity MAE of COVID-19 radiographs, of all normals, of adult normals.
        dice: mean Dice of the disease masks.
        scored, masked: COVID-19 radiographs behind ``covid``, and disease masks behind ``dice``.
    """

    shift: float
    threshold: float
    covid: float
    normals: float
    adults: float
    dice: float
    scored: int
    masked: int

    @property
    def cost(self) -> float:
        """What the choice minimises: the bars' figures in sum."""
        return self.covid + self.normals + (1 - self.dice)


def hold_out(
    cases: Sequence[Case],
    lungs: Stage,
    fit_fold: Callable[[int, Sequence[Case]], Path],
    folds: int,
    out: Path,
    only: int | None = None,
) -> list[HeldOut]:
    """Every case with a score or a mask, judged by a stage II that saw no radiograph of its patient.

    Args:
        fit_fold: the fold's number and its training cases to the fitted weights.
        out: each fold's figures are kept here, so that a cut-off run goes on.
        only: the fold to judge; None: all.
    """
    found: list[HeldOut] = []
    parts = patient_folds(cases, folds)
    for number, part in enumerate(parts):
        if only not in (None, number):
            continue
        judged = [case for case in part if case.score is not None or case.has_disease]
        kept = out / f"fold-{number}.json"
        if not kept.is_file():
            training = [case for other in parts if other is not part for case in other]
            disease = Stage.load(fit_fold(number, training), role="disease", device=lungs.device)
            workflow = Workflow(lungs, disease)
            kept.write_text(json.dumps({case.id: _shifted(workflow, case) for case in judged}), encoding="utf-8")
            logger.info("fold %d: %d radiographs held out", number, len(judged))
        figures = json.loads(kept.read_text(encoding="utf-8"))
        found += [HeldOut(case, *_as_tuples(figures[case.id]), number) for case in judged]
    return found


def choose(held_out: Sequence[HeldOut]) -> Choice:
    """The shift and threshold of least ``Choice.cost`` among those within ``ADULTS_LIMIT``, or of all where none is."""
    places = [SHIFTS.index(shift) for shift in CHOSEN_FROM]
    choices = [_at_threshold(held_out, place, threshold) for place in places for threshold in THRESHOLDS]
    return min(choices, key=lambda choice: (choice.adults > ADULTS_LIMIT, choice.cost))


def shift_logits(probabilities: ProbabilityMap, shift: float) -> ProbabilityMap:
    """Probabilities float32 after ``shift`` was added to their logits."""
    odds = np.exp(np.float32(shift))
    shifted: ProbabilityMap = odds * probabilities / (1 + (odds - 1) * probabilities)
    return shifted


def _shifted(workflow: Workflow, case: Case) -> tuple[list[tuple[float, ...]], list[float]]:
    prepared = workflow.prepare(case.pixels)
    cropped = workflow.crop_lungs(prepared, workflow.lungs.run([prepared.picture])[0][0])
    disease = workflow.disease.run([workflow.disease.prepare(cropped.image)])[0][0]
    analyses = [workflow.conclude(cropped, shift_logits(disease, shift), None) for shift in SHIFTS]
    masked = case.has_disease and case.disease.any()
    overlaps = [dice(analysis.disease, case.disease) for analysis in analyses] if masked else []
    return [analysis.shares for analysis in analyses], overlaps


def _as_tuples(
    figures: tuple[list[list[float]], list[float]],
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    shares, overlaps = figures
    return tuple(map(tuple, shares)), tuple(overlaps)


def _at_threshold(held_out: Sequence[HeldOut], index: int, threshold: float) -> Choice:
    covid = [item for item in held_out if item.case.is_scored_covid]
    overlaps = [item.dice[index] for item in held_out if item.dice]
    return Choice(
        shift=SHIFTS[index],
        threshold=threshold,
        covid=_error(covid, index, threshold),
        normals=_error((item for item in held_out if item.case.is_normal), index, threshold),
        adults=_error((item for item in held_out if item.case.is_adult_normal), index, threshold),
        dice=float(np.mean(overlaps)) if overlaps else nan,
        scored=len(covid),
        masked=len(overlaps),
    )


def _error(held_out: Iterable[HeldOut], index: int, threshold: float) -> float:
    errors = []
    for item in held_out:
        score = severity_score(item.shares[index], threshold)
        if score is not None and item.case.score is not None:
            errors.append(abs(score - item.case.score))
    return float(np.mean(errors)) if errors else nan
