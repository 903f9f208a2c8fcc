"""The fitted rule that tells frontal chest radiographs from other pictures, and finds inverted and mirrored ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.pixels import Pixels, ProbabilityMap
from models.quality.codes import MIRRORED, NOT_CHEST, NOT_FRONTAL, ROTATED
from models.quality.features import THUMBNAIL, Numbers, chest_features, shrink, side_features, thumbnail

KINDS: Final = ("chest", ROTATED, NOT_FRONTAL, NOT_CHEST)
"""What the rule tells apart: a frontal chest, and everything else by its code."""
RULE_FILE: Final = Path(__file__).parents[1] / "weights" / "quality.json"
_ARRAYS: Final = ("mean", "scale", "bias", "weights", "polarity", "sides")
_FARTHEST = 4.0
"""Deviations from the mean at which a feature is clipped, so that one strange feature cannot outweigh the rest."""


@dataclass(frozen=True, eq=False)
class KindRule:
    """Softmax regression over ``KINDS``.

    Attributes:
        mean, scale: float32 [n], of the features.
        weights: float32 [n, 4]; bias: float32 [4].
    """

    mean: Numbers
    scale: Numbers
    weights: Numbers
    bias: Numbers

    def logits(self, features: Numbers) -> Numbers:
        """Float32 [..., 4] of features float32 [..., n]."""
        scaled = np.clip((features - self.mean) / self.scale, -_FARTHEST, _FARTHEST)
        return np.asarray(scaled @ self.weights + self.bias, np.float32)


@dataclass(frozen=True, eq=False)
class ChestRule(KindRule):
    """Tells the kinds apart and finds inverted and mirrored pictures; fitted to the maps of one stage I.

    Attributes:
        fitted_for: SHA-256 of stage I's weights.
        threshold: a picture whose log odds of a frontal chest against the rest are below this is refused.
        polarity: float32 [128], weights of ``polarity_features``.
        polarity_threshold: a picture whose weighted sum is below minus this is inverted.
        sides: float32 [576], weights of ``side_features``.
        sides_threshold: a chest whose weighted sum is below minus this is mirrored.
    """

    fitted_for: str
    threshold: float
    polarity: Numbers
    polarity_threshold: float
    sides: Numbers
    sides_threshold: float

    def flags(self, picture: Pixels, lung_map: ProbabilityMap, inverted: bool = False) -> tuple[str, ...]:
        """Why this is not a frontal chest radiograph, or that it seems to be mirrored: one code, or none.

        Args:
            picture: uint8 [S, S], as stage I saw it.
            lung_map: float32 [S, S], stage I's map.
            inverted: the picture is known to be inverted; it is judged as if it were not.
        """
        gray, lungs = shrink(picture), shrink(lung_map)
        upright = 255 - gray if inverted else gray
        logits = self.logits(chest_features(upright, lungs))
        if chest_odds(logits) < self.threshold:
            return (KINDS[1 + int(np.argmax(logits[1:]))],)
        return (MIRRORED,) if side_features(upright, lungs) @ self.sides < -self.sides_threshold else ()

    def is_inverted(self, picture: Pixels) -> bool:
        """Whether dark and bright are the wrong way round in a picture uint8 [S, S]."""
        return bool(polarity_features(shrink(picture)) @ self.polarity < -self.polarity_threshold)

    def to_json(self) -> str:
        """The file that ``load_rule`` reads."""
        content: dict[str, Any] = {"fitted_for": self.fitted_for, "kinds": KINDS}
        for name in ("threshold", "polarity_threshold", "sides_threshold"):
            content[name] = round(float(getattr(self, name)), 4)
        for name in _ARRAYS:
            content[name] = np.round(getattr(self, name).astype(float), 5).tolist()
        return json.dumps(content, separators=(",", ":")).replace('],"', '],\n"') + "\n"


def chest_odds(logits: Numbers) -> Numbers:
    """Log odds of a frontal chest against all other kinds, float32 [...] of logits [..., 4]."""
    others = logits[..., 1:]
    highest = others.max(-1)
    return np.asarray(logits[..., 0] - highest - np.log(np.exp(others - highest[..., None]).sum(-1)), np.float32)


def polarity_features(gray: Numbers) -> Numbers:
    """The left half of a thumbnail's mean with its mirror image, float32 [128], as a chest may be mirrored."""
    small = thumbnail(gray)
    return np.asarray((small + small[:, ::-1])[:, : THUMBNAIL // 2].ravel() / 2, np.float32)


def load_rule(path: Path) -> ChestRule:
    """Reads a rule.

    Raises:
        ValueError: the file is no rule of this version.
    """
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if tuple(content["kinds"]) != KINDS:
        raise ValueError(f"{path}: expected a rule over {KINDS}, found one over {content['kinds']}")
    arrays = {name: np.array(content[name], np.float32) for name in _ARRAYS}
    return ChestRule(
        fitted_for=content["fitted_for"],
        threshold=content["threshold"],
        polarity_threshold=content["polarity_threshold"],
        sides_threshold=content["sides_threshold"],
        **arrays,
    )


@lru_cache(maxsize=1)
def default_rule() -> ChestRule:
    """The rule that comes with the package."""
    return load_rule(RULE_FILE)


def looks_inverted(picture: Pixels) -> bool:
    """Whether a picture uint8 [S, S] is inverted, by the package's rule, which needs no network for this."""
    return default_rule().is_inverted(picture)
