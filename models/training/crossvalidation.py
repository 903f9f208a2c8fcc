"""The operating point of stage II, chosen by cross-validation by patient: one split is too small for it.

Three numbers are chosen: a shift of the map's logits (a network trained on few masks marks too little in radiographs it
has not seen), a shift of the label's logit if there is a classification head, and the threshold over which a zone
counts.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from math import isnan, log, nan
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.severity import diseased_share, severity_score, zone_shares
from models.evaluation import area_under_curve, bars, dice
from models.evaluation.groups import (
    BEDSIDE,
    CHILDREN,
    COVID,
    GROUPS,
    HEALTHY_ADULTS,
    MIXTURE,
    OPACITIES,
    OTHER,
    of_mixture,
)
from models.pack import Case, patient_folds
from models.pixels import ProbabilityMap
from models.runtime.stage import Stage
from models.workflow import GRID, Workflow

logger = logging.getLogger(__name__)

SHIFTS: Final = tuple(step / 4 for step in range(-14, 23))
"""The shifts at which held-out radiographs are judged: ``CHOSEN_FROM`` and 3 to either side, for intervals."""
CHOSEN_FROM: Final = tuple(step / 4 for step in range(-2, 11))
LABEL_SHIFTS: Final = tuple(step / 4 for step in range(-16, 5))
"""Up to +1, where a label of 0.27 counts as disease: beyond that the head would rule out almost nothing."""
THRESHOLDS: Final = tuple(step / 100 for step in range(5, 71))


@dataclass(frozen=True)
class HeldOut:
    """The answer of a network that saw no radiograph of the case's patient, at each of ``SHIFTS``.

    Attributes:
        shares: six zone shares per shift, in the reference's order; NaN for a lung that was not found.
        diseased: diseased part of the lungs, per shift; NaN where no lung was found.
        dice: of the disease mask, per shift; empty without a drawn mask.
        label: the classification head's logit; None without a head.
        fold: the fold's number.
    """

    case: Case
    shares: tuple[tuple[float, ...], ...]
    diseased: tuple[float, ...]
    dice: tuple[float, ...]
    label: float | None = None
    fold: int = 0

    def score(self, shift: float, label_shift: float | None, threshold: float) -> int | None:
        """The severity at an operating point; None where a lung was not found."""
        score = severity_score(self.shares[SHIFTS.index(shift)], threshold)
        return score if score is None or is_diseased(self.label, label_shift) else 0


@dataclass(frozen=True)
class Choice:
    """The operating point and its figures on held-out radiographs.

    Attributes:
        shift: added to the map's logits.
        label_shift: added to the label's logit; None: the map counts whatever the label says, or there is no label.
        threshold: a zone counts if its share is strictly above it.
        covid, mixture: severity MAE of COVID-19 radiographs, and of the paper's mixture.
        adults, adults_over: mean score of healthy adults, and the part of them over 0.
        bedside, children: mean score of bedside radiographs without opacity, and of healthy children.
        against_normal, against_other: area under the curve of the diseased share, opacities against healthy adults and
            against radiographs with other findings.
        dice: mean Dice of the disease masks.
        masked: disease masks behind ``dice``.
        counts: radiographs of each of ``GROUPS``.
    """

    shift: float
    label_shift: float | None
    threshold: float
    covid: float
    mixture: float
    adults: float
    adults_over: float
    bedside: float
    children: float
    against_normal: float
    against_other: float
    dice: float
    masked: int
    counts: Mapping[str, int]


def hold_out(
    cases: Sequence[Case],
    lungs: Stage,
    fit_fold: Callable[[int, Sequence[Case]], Path],
    folds: int,
    out: Path,
    only: int | None = None,
) -> list[HeldOut]:
    """Judges every case that a figure is given for, with a stage II that saw no radiograph of its patient.

    Args:
        fit_fold: from the fold's number and its training cases to the trained weights.
        out: each fold's figures are kept here, so that an interrupted run can continue.
        only: the fold to judge; None: all.
    """
    found: list[HeldOut] = []
    parts = patient_folds(cases, folds)
    for number, part in enumerate(parts):
        if only not in (None, number):
            continue
        judged = [case for case in part if case.has_disease or any(keep(case) for keep in GROUPS.values())]
        kept = out / f"fold-{number}.json"
        if not kept.is_file():
            training = [case for other in parts if other is not part for case in other]
            disease = Stage.load(fit_fold(number, training), role="disease", device=lungs.device)
            workflow = Workflow(lungs, disease)
            kept.write_text(json.dumps({case.id: _judge(workflow, case) for case in judged}), encoding="utf-8")
            logger.info("fold %d: %d radiographs held out", number, len(judged))
        figures = json.loads(kept.read_text(encoding="utf-8"))
        found += [_read(case, figures[case.id], number) for case in judged]
    return found


def parted(held_out: Sequence[HeldOut], parts: int = 3) -> list[HeldOut]:
    """Divides the radiographs of one fold into parts by patient; each part then counts as a fold."""
    numbers = {
        case.id: number
        for number, part in enumerate(patient_folds([item.case for item in held_out], parts))
        for case in part
    }
    return [replace(item, fold=numbers[item.case.id]) for item in held_out]


def choose(held_out: Sequence[HeldOut]) -> Choice:
    """The operating point that comes nearest to the bars, and among those that reach them the one of least error.

    Healthy adults come first: among points that reach their bars, the other bars count, and then the sum of the
    severity errors and of 1 - Dice.
    """
    table = _Table(held_out)
    points = product(CHOSEN_FROM, THRESHOLDS, LABEL_SHIFTS if table.has_labels else (None,))
    return table.choice(*min(points, key=lambda point: table.cost(*point)))


def is_diseased(label: float | None, label_shift: float | None) -> bool:
    """Whether a map counts: its label's logit after the shift means disease, or the head is not used."""
    return label is None or label_shift is None or label + label_shift > 0


def shift_logits(probabilities: ProbabilityMap, shift: float) -> ProbabilityMap:
    """Adds ``shift`` to the logits of probabilities float32."""
    odds = np.exp(np.float32(shift))
    shifted: ProbabilityMap = odds * probabilities / (1 + (odds - 1) * probabilities)
    return shifted


class _Table:
    """Held-out radiographs by group, as arrays: tens of thousands of operating points are tried."""

    def __init__(self, held_out: Sequence[HeldOut]) -> None:
        self.has_labels = any(item.label is not None for item in held_out)
        self.held_out = held_out
        self.groups = {name: _Group([item for item in held_out if keep(item.case)]) for name, keep in GROUPS.items()}
        self.masked = [item for item in held_out if item.dice]
        self._dice = np.array([item.dice for item in self.masked]).reshape(len(self.masked), len(SHIFTS))
        self._masked_labels = _labels(self.masked)

    def cost(self, shift: float, threshold: float, label_shift: float | None) -> tuple[float, float, float]:
        """What is wrong with an operating point, the most important first."""
        found = self._figures(shift, threshold, label_shift)
        adults = _excess(found["adults"], bars.HEALTHY_ADULTS_MEAN) + _excess(
            found["adults_over"], bars.HEALTHY_ADULTS_OVER
        )
        opacities, others = self._apart(shift, label_shift)
        missed = (
            _excess(found["bedside"], bars.BEDSIDE_MEAN)
            + _excess(found["children"], bars.CHILDREN_MEAN)
            + _excess(found["covid"], bars.CROSS_VALIDATED_COVID_MAE)
            + _excess(found["mixture"], bars.CROSS_VALIDATED_MIXTURE_MAE)
            + _excess(bars.DISEASE_DICE, found["dice"])
            + _excess(bars.AGAINST_NORMAL, opacities)
            + _excess(bars.AGAINST_OTHER, others)
        )
        known = [found["covid"], found["mixture"], 1 - found["dice"]]
        return adults, missed, sum(value for value in known if not isnan(value))

    def choice(self, shift: float, threshold: float, label_shift: float | None) -> Choice:
        """An operating point with all its figures."""
        against_normal, against_other = self._apart(shift, label_shift)
        return Choice(
            shift=shift,
            label_shift=label_shift,
            threshold=threshold,
            against_normal=against_normal,
            against_other=against_other,
            masked=len(self.masked),
            counts={name: len(group.items) for name, group in self.groups.items()},
            **self._figures(shift, threshold, label_shift),
        )

    @cache  # noqa: B019 - a table lives as long as one choice
    def _apart(self, shift: float, label_shift: float | None) -> tuple[float, float]:
        """Areas under the curve of the diseased share: opacities against healthy adults, and against other findings."""
        opacities = self.groups[OPACITIES].diseased(shift, label_shift)
        against = (self.groups[name].diseased(shift, label_shift) for name in (HEALTHY_ADULTS, OTHER))
        normal, other = (area_under_curve(opacities, others) for others in against)
        return normal, other

    def _figures(self, shift: float, threshold: float, label_shift: float | None) -> dict[str, float]:
        scores = {name: group.scores(shift, threshold, label_shift) for name, group in self.groups.items()}
        errors = {name: _mean(np.abs(scores[name] - self.groups[name].consensus)) for name in MIXTURE}
        found = _counts(self._masked_labels, label_shift)
        return {
            "covid": errors[COVID],
            "mixture": of_mixture(errors),
            "adults": _mean(scores[HEALTHY_ADULTS]),
            "adults_over": _mean((scores[HEALTHY_ADULTS] > 0).astype(float)),
            "bedside": _mean(scores[BEDSIDE]),
            "children": _mean(scores[CHILDREN]),
            "dice": _mean(self._dice[:, SHIFTS.index(shift)] * found),
        }


class _Group:
    """The held-out radiographs of one group whose two lungs were found."""

    def __init__(self, items: Sequence[HeldOut]) -> None:
        self.items = [item for item in items if not np.isnan(item.shares[0]).any()]
        self.consensus = np.array([nan if item.case.score is None else item.case.score for item in self.items])
        self._shares = np.array([item.shares for item in self.items]).reshape(len(self.items), len(SHIFTS), 6)
        self._diseased = np.array([item.diseased for item in self.items]).reshape(len(self.items), len(SHIFTS))
        self._labels = _labels(self.items)

    def scores(self, shift: float, threshold: float, label_shift: float | None) -> NDArray[np.int64]:
        """Severities int [n]."""
        affected = np.count_nonzero(self._shares[:, SHIFTS.index(shift)] > threshold, axis=1)
        return np.asarray(affected * _counts(self._labels, label_shift))

    def diseased(self, shift: float, label_shift: float | None) -> list[float]:
        """Diseased parts of the lungs."""
        parts = self._diseased[:, SHIFTS.index(shift)] * _counts(self._labels, label_shift)
        return [float(part) for part in parts]


def _counts(labels: NDArray[np.float64], label_shift: float | None) -> NDArray[np.bool_]:
    """``is_diseased`` for many labels."""
    return np.ones(len(labels), np.bool_) if label_shift is None else labels + label_shift > 0


def _labels(items: Sequence[HeldOut]) -> NDArray[np.float64]:
    """The labels' logits; infinity without a head, which means disease at any shift."""
    return np.array([np.inf if item.label is None else item.label for item in items], dtype=float)


def _excess(value: float, limit: float) -> float:
    """How far a figure exceeds its limit, as a part of the limit; 0 if it does not, or if either is not known."""
    return 0.0 if isnan(value) or isnan(limit) else max(0.0, value / max(limit, 1e-6) - 1)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else nan


def _judge(workflow: Workflow, case: Case) -> dict[str, Any]:
    """The figures of ``HeldOut`` for one case, as JSON."""
    prepared = workflow.prepare(case.pixels)
    cropped = workflow.crop_lungs(prepared, workflow.lungs.run([prepared.picture])[0][0])
    maps, labels = workflow.disease.run([workflow.disease.prepare(cropped.image)])
    on_grid = cv2.resize(maps[0], (GRID, GRID), interpolation=cv2.INTER_LINEAR)
    lungs = cropped.pair.mask(cropped.lungs.shape)
    found = [on_grid > 1 / (1 + np.exp(shift)) for shift in SHIFTS]
    masked = case.has_disease and case.disease.any()
    shifted = [shift_logits(maps[0], shift) for shift in SHIFTS] if masked else []
    parts = [diseased_share(lungs, disease) for disease in found]
    return {
        "shares": [zone_shares(cropped.pair, disease) for disease in found],
        "diseased": [nan if part is None else part for part in parts],
        "dice": [dice(workflow.conclude(cropped, one, None).disease, case.disease) for one in shifted],
        "label": None if labels is None else _logit(float(labels[0])),
    }


def _read(case: Case, figures: Mapping[str, Any], fold: int) -> HeldOut:
    shares = tuple(map(tuple, figures["shares"]))
    return HeldOut(case, shares, tuple(figures["diseased"]), tuple(figures["dice"]), figures["label"], fold)


def _logit(probability: float) -> float:
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return log(kept / (1 - kept))
