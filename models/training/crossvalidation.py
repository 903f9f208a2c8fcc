"""The threshold of stage II, chosen by cross-validation by patient: one split is too small for it."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.severity import severity_score
from models.stage import Stage
from models.training.pack import Case, patient_folds
from models.workflow import Workflow

logger = logging.getLogger(__name__)

THRESHOLDS = tuple(round(step / 100, 2) for step in range(5, 71))


@dataclass(frozen=True)
class Choice:
    """What the held-out shares say.

    Attributes:
        threshold: the middle of the thresholds within ``tolerance`` of the least error.
        covid, normals, adults: severity MAE of the held-out scores at that threshold.
        curve: MAE over COVID-19 radiographs at each of ``THRESHOLDS``.
    """

    threshold: float
    covid: float
    normals: float
    adults: float
    scored: int
    curve: tuple[float, ...]


def held_out_shares(
    cases: Sequence[Case],
    lungs: Stage,
    fit_fold: Callable[[int, Sequence[Case]], Path],
    folds: int,
    out: Path,
) -> dict[str, tuple[float, ...]]:
    """Zone shares of every case by a stage II that saw no radiograph of its patient.

    Args:
        fit_fold: the fold's number and its training cases to the fitted weights.
        out: each fold's shares are kept here, so that a cut-off run goes on.
    """
    shares: dict[str, tuple[float, ...]] = {}
    parts = patient_folds(cases, folds)
    for number, held_out in enumerate(parts):
        kept = out / f"fold-{number}.json"
        if not kept.is_file():
            training = [case for part in parts if part is not held_out for case in part]
            disease = Stage.load(fit_fold(number, training), role="disease", device=lungs.device)
            workflow = Workflow(lungs, disease)
            found = {case.id: workflow.analyse(case.pixels).shares for case in held_out if case.score is not None}
            kept.write_text(json.dumps(found), encoding="utf-8")
            logger.info("fold %d: %d radiographs held out", number, len(found))
        shares |= {case: tuple(values) for case, values in json.loads(kept.read_text(encoding="utf-8")).items()}
    return shares


def choose_threshold(cases: Sequence[Case], shares: Mapping[str, Sequence[float]], tolerance: float = 0.01) -> Choice:
    """The threshold with the least severity MAE over the scored COVID-19 radiographs.

    The curve is nearly flat around its least value and rough from chance, so the middle of what is within
    ``tolerance`` of it is taken.
    """
    covid = [case for case in cases if case.is_scored_covid]
    curve = [_error(covid, shares, threshold) for threshold in THRESHOLDS]
    near = [threshold for threshold, error in zip(THRESHOLDS, curve, strict=True) if error <= min(curve) + tolerance]
    threshold = round(float(np.median(near)), 2)
    return Choice(
        threshold=threshold,
        covid=_error(covid, shares, threshold),
        normals=_error([case for case in cases if case.is_normal], shares, threshold),
        adults=_error([case for case in cases if case.is_adult_normal], shares, threshold),
        scored=len(covid),
        curve=tuple(curve),
    )


def _error(cases: Sequence[Case], shares: Mapping[str, Sequence[float]], threshold: float) -> float:
    errors = []
    for case in cases:
        score = severity_score(shares[case.id], threshold) if case.id in shares else None
        if score is not None and case.score is not None:
            errors.append(abs(score - case.score))
    return float(np.mean(errors))
