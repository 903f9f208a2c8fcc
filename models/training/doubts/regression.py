"""Fits the rule of ``models.quality``: softmax regression with a weight penalty, by L-BFGS, seeded."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.quality.features import Numbers, chest_features
from models.quality.rule import KINDS, ChestRule, chest_odds, polarity_features
from models.training.doubts.samples import CHEST, EXPOSED, HELD_OUT, Sample, expected_flag

Loss: TypeAlias = Callable[[Tensor], Tensor]

PENALTY: Final = 3e-3
POLARITY_PENALTY: Final = 1e-2
REFUSED_SHARE: Final = 0.01
"""Share of the fitted radiographs, each judged by a rule that did not see it, that the threshold may refuse."""
POLARITY_THRESHOLD: Final = 1.0
"""Log odds: no radiograph of ``train`` as it came is beyond it on the wrong side."""
_FOLDS: Final = 4
_LEAST_SCALE: Final = 1e-3


def fit_rule(samples: Sequence[Sample], fitted_for: str) -> ChestRule:
    """The rule from pictures after stage I; kinds of ``HELD_OUT`` and inverted ones are left out.

    Args:
        fitted_for: SHA-256 of stage I's weights.
    """
    right = [sample.gray for sample in samples if sample.kind in (CHEST, EXPOSED)]
    # Some upside down: else many of those look inverted, and inverted back they look upright.
    either_way = [*right, *right, *(np.ascontiguousarray(gray[::-1, ::-1]) for gray in right)]
    polarity = _fit_polarity(np.stack([polarity_features(gray) for gray in either_way]))
    used = [sample for sample in samples if sample.kind not in (*HELD_OUT, "inverted")]
    features = np.stack([chest_features(sample.gray, sample.lungs) for sample in used])
    labels = np.array([KINDS.index(expected_flag(sample.kind) or KINDS[0]) for sample in used])
    names = [sample.name for sample in used]
    fold_of = dict(zip(sorted(set(names)), np.random.default_rng(0).integers(0, _FOLDS, len(set(names))), strict=True))
    folds = np.array([fold_of[name] for name in names])
    chests = np.array([sample.kind == CHEST for sample in used])
    odds = np.zeros(len(used), np.float32)
    for fold in range(_FOLDS):
        apart = folds == fold
        rule = _fit(features[~apart], labels[~apart], polarity, fitted_for, 0.0)
        odds[apart] = chest_odds(rule.logits(features[apart]))
    return _fit(features, labels, polarity, fitted_for, float(np.quantile(odds[chests], REFUSED_SHARE)))


def _fit(
    features: Numbers, labels: NDArray[np.int64], polarity: Numbers, fitted_for: str, threshold: float
) -> ChestRule:
    mean, scale = features.mean(0), features.std(0) + np.float32(_LEAST_SCALE)
    unfitted = ChestRule(
        fitted_for=fitted_for,
        mean=mean,
        scale=scale,
        weights=np.zeros((features.shape[1], len(KINDS)), np.float32),
        bias=np.zeros(len(KINDS), np.float32),
        threshold=threshold,
        polarity=polarity,
        polarity_threshold=POLARITY_THRESHOLD,
    )
    scaled = torch.from_numpy(np.clip((features - mean) / scale, -4, 4)).double()
    wanted = torch.from_numpy(labels)
    # Each kind weighs the same, however many pictures it has.
    shares = 1.0 / torch.bincount(wanted, minlength=len(KINDS)).double()

    def loss(parameters: Tensor) -> Tensor:
        weights, bias = parameters[:-1], parameters[-1]
        error = functional.cross_entropy(scaled @ weights + bias, wanted, shares)
        return error + PENALTY * (weights**2).sum()

    found = _minimise(loss, torch.zeros(scaled.shape[1] + 1, len(KINDS), dtype=torch.float64)).float().numpy()
    return ChestRule(**{**vars(unfitted), "weights": found[:-1], "bias": found[-1]})


def _fit_polarity(features: Numbers) -> Numbers:
    """Weights without a bias: an inverted picture's features are the negative of the right one's."""
    right = torch.from_numpy(features).double()

    def loss(weights: Tensor) -> Tensor:
        return functional.softplus(-right @ weights).mean() + POLARITY_PENALTY * (weights**2).sum()

    return np.asarray(_minimise(loss, torch.zeros(right.shape[1], dtype=torch.float64)).float().numpy())


def _minimise(loss: Loss, start: Tensor) -> Tensor:
    parameters = start.requires_grad_()
    search = torch.optim.LBFGS([parameters], max_iter=400, line_search_fn="strong_wolfe")

    def step() -> float:
        search.zero_grad()
        value = loss(parameters)
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    search.step(step)  # type: ignore[no-untyped-call]
    return parameters.detach()
