"""Fits the rule of ``models.quality``: logistic regressions with a weight penalty, seeded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.quality.codes import INVERTED_POLARITY, LUNGS_NOT_FOUND, SINGLE_LUNG
from models.quality.features import Numbers, chest_features, side_features
from models.quality.rule import KINDS, ChestRule, KindRule, chest_odds, polarity_features
from models.training.doubts.samples import CHEST, EXPOSED, HELD_OUT, Sample, expected_flag

PENALTY: Final = 1e-3
POLARITY_PENALTY: Final = 1e-2
SIDES_PENALTY: Final = 1e-3
REFUSED_SHARE: Final = 0.01
"""Share of the training radiographs that the threshold may refuse, each judged by a rule that did not see it."""
MIRRORED_SHARE: Final = 0.01
"""The share of them that may be called mirrored."""
POLARITY_THRESHOLD: Final = 1.0
"""Log odds: no unaltered radiograph of ``train`` is beyond it on the wrong side."""
_FOLDS: Final = 4
_LEAST_SCALE: Final = 1e-3
_LUNG_FLAGS: Final = frozenset({LUNGS_NOT_FOUND, SINGLE_LUNG, INVERTED_POLARITY})


@dataclass(frozen=True, eq=False)
class Fitted:
    """A rule, and how each picture is judged by a rule fitted in the same way without it.

    Attributes:
        kinds: of each fitted sample.
        refused: bool [n], whether the sample would get no score, the lungs' own flags included.
        mirrored: float32 [m], for each unaltered radiograph, the sum that is below 0 if it seems to be mirrored.
    """

    rule: ChestRule
    kinds: NDArray[np.str_]
    refused: NDArray[np.bool_]
    mirrored: Numbers


def fit_rule(samples: Sequence[Sample], fitted_for: str) -> Fitted:
    """Fits the rule to pictures after stage I; kinds of ``HELD_OUT`` and inverted ones are left out.

    Args:
        fitted_for: SHA-256 of stage I's weights.
    """
    used = [sample for sample in samples if sample.kind not in (*HELD_OUT, "inverted")]
    kinds = np.array([sample.kind for sample in used])
    chests = kinds == CHEST
    folds = _folds([sample.name for sample in used])
    features = np.stack([chest_features(sample.gray, sample.lungs) for sample in used])
    labels = np.array([KINDS.index(expected_flag(kind) or KINDS[0]) for kind in kinds])
    sides = np.stack([side_features(sample.gray, sample.lungs) for sample in used if sample.kind == CHEST])
    odds, sums = np.zeros(len(used), np.float32), np.zeros(len(sides), np.float32)
    for fold in range(_FOLDS):
        apart, chest_apart = folds == fold, folds[chests] == fold
        odds[apart] = chest_odds(_fit_kinds(features[~apart], labels[~apart]).logits(features[apart]))
        sums[chest_apart] = sides[chest_apart] @ _fit_odd(sides[~chest_apart], SIDES_PENALTY)
    threshold = float(np.quantile(odds[chests], REFUSED_SHARE))
    kind_rule = _fit_kinds(features, labels)
    rule = ChestRule(
        fitted_for=fitted_for,
        mean=kind_rule.mean,
        scale=kind_rule.scale,
        weights=kind_rule.weights,
        bias=kind_rule.bias,
        threshold=threshold,
        polarity=_fit_odd(_polarity_features(samples), POLARITY_PENALTY),
        polarity_threshold=POLARITY_THRESHOLD,
        sides=_fit_odd(sides, SIDES_PENALTY),
        sides_threshold=max(0.0, -float(np.quantile(sums, MIRRORED_SHARE))),
    )
    lungs = np.array([not _LUNG_FLAGS.isdisjoint(sample.cropped.flags) for sample in used])
    return Fitted(rule, kinds, lungs | (odds < threshold), sums)


def _folds(names: Sequence[str]) -> NDArray[np.int64]:
    """Each picture's fold; pictures of one name are in the same."""
    unique = sorted(set(names))
    fold_of = dict(zip(unique, np.random.default_rng(0).integers(0, _FOLDS, len(unique)), strict=True))
    return np.array([fold_of[name] for name in names])


def _polarity_features(samples: Sequence[Sample]) -> Numbers:
    right = [sample.gray for sample in samples if sample.kind in (CHEST, EXPOSED)]
    # Some are turned upside down: else many such pictures look inverted, and inverted back they look upright.
    either_way = [*right, *right, *(np.ascontiguousarray(gray[::-1, ::-1]) for gray in right)]
    return np.stack([polarity_features(gray) for gray in either_way])


def _fit_kinds(features: Numbers, labels: NDArray[np.int64]) -> KindRule:
    mean, scale = features.mean(0), features.std(0) + np.float32(_LEAST_SCALE)
    scaled = np.clip((features - mean) / scale, -4, 4)
    # Each kind weighs the same, however many pictures it has.
    found = _regression(PENALTY, len(labels), class_weight="balanced").fit(scaled.astype(np.float64), labels)
    if len(found.classes_) != len(KINDS):
        raise ValueError(f"expected pictures of every kind of {KINDS}, found kinds {sorted(set(labels.tolist()))}")
    return KindRule(mean, scale, found.coef_.T.astype(np.float32), found.intercept_.astype(np.float32))


def _fit_odd(features: Numbers, penalty: float) -> Numbers:
    """Weights without a bias: the features of an inverted or mirrored picture are the negative of the right one's."""
    either_way = np.concatenate([features, -features]).astype(np.float64)
    is_right = np.arange(len(either_way)) < len(features)
    found = _regression(penalty, len(either_way), fit_intercept=False).fit(either_way, is_right)
    return np.asarray(found.coef_[0], np.float32)


def _regression(penalty: float, count: int, **options: Any) -> LogisticRegression:
    """Minimises the mean error of ``count`` pictures plus ``penalty`` times the squared weights."""
    return LogisticRegression(C=1 / (2 * penalty * count), max_iter=2000, tol=1e-6, **options)
