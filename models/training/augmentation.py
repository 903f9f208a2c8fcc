"""Random changes of kinds that real radiographs have: pose, exposure, polarity, marks."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.pixels import Pixels


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; all are uniform in their range.

    Attributes:
        rotation: largest angle, degrees.
        scale: largest enlargement; the smallest is one over it.
        aspect: largest relative change of the width against the height.
        shift: largest shift, as a share of the side.
        gamma: largest gamma; the smallest is one over it.
        contrast: largest change of contrast around the mean, as a share.
        brightness: largest shift of brightness, as a share of full scale.
        inversion, noise, blur, marks, coarse, lossy: probabilities.
        coarsest: smallest factor of ``coarse``, which shrinks a picture and enlarges it again.
        quality: lowest JPEG quality of ``lossy``.
    """

    rotation: float = 12.0
    scale: float = 1.2
    aspect: float = 0.12
    shift: float = 0.07
    gamma: float = 1.7
    contrast: float = 0.35
    brightness: float = 0.12
    inversion: float = 0.03
    noise: float = 0.2
    blur: float = 0.15
    marks: float = 0.25
    coarse: float = 0.4
    coarsest: float = 0.4
    lossy: float = 0.3
    quality: int = 25

    def pose(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """A random affine map (float64 [2, 3]) of a ``size`` x ``size`` picture around its centre."""
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        scale = self.scale ** rng.uniform(-1, 1)
        stretch = 1 + rng.uniform(-self.aspect, self.aspect)
        flip = rng.choice((-1.0, 1.0))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ np.diag([flip * scale * stretch, scale])
        centre = np.full(2, (size - 1) / 2)
        offset = centre - linear @ centre + rng.uniform(-self.shift, self.shift, 2) * size
        return np.column_stack([linear, offset])

    def expose(self, rng: np.random.Generator, picture: Pixels) -> Pixels:
        """A copy of a uint8 [H, W] picture with its grays, noise, sharpness and marks changed."""
        if rng.random() < self.marks:
            picture = _add_mark(rng, picture)
        ramp = np.arange(256) / 255.0
        table = ramp ** (self.gamma ** rng.uniform(-1, 1))
        centre = float(picture.mean()) / 255.0
        table = (table - centre) * (1 + rng.uniform(-self.contrast, self.contrast)) + centre
        table = table + rng.uniform(-self.brightness, self.brightness)
        if rng.random() < self.inversion:
            table = 1 - table
        changed = np.asarray(cv2.LUT(picture, np.clip(table * 255, 0, 255).astype(np.uint8)), np.uint8)
        if rng.random() < self.coarse:
            changed = _coarser(changed, rng.uniform(self.coarsest, 1))
        if rng.random() < self.blur:
            changed = np.asarray(cv2.GaussianBlur(changed, (3, 3), rng.uniform(0.4, 1.2)), np.uint8)
        if rng.random() < self.noise:
            noise = rng.normal(0, rng.uniform(1, 8), changed.shape)
            changed = np.clip(changed + noise, 0, 255).astype(np.uint8)
        if rng.random() < self.lossy:
            changed = _encoded(changed, int(rng.integers(self.quality, 96)))
        return changed


def warp(picture: Pixels, pose: np.ndarray, *, nearest: bool = False) -> Pixels:
    """A picture moved by ``pose``; what comes in from outside is black."""
    interpolation = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    height, width = picture.shape[:2]
    return np.asarray(cv2.warpAffine(picture, pose, (width, height), flags=interpolation), dtype=np.uint8)


def _coarser(picture: Pixels, factor: float) -> Pixels:
    """The picture at a lower resolution, in its own size."""
    height, width = picture.shape
    small = cv2.resize(
        picture, (max(round(width * factor), 1), max(round(height * factor), 1)), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _encoded(picture: Pixels, quality: int) -> Pixels:
    """The picture after a JPEG of the given quality."""
    _, encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _add_mark(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """Adds a side marker, a caption or a line such as a tube, in white, black or gray."""
    marked = picture.copy()
    size = picture.shape[0]
    gray = int(rng.choice([0, 255, int(rng.integers(150, 255))]))
    x, y = (int(value) for value in rng.integers(0, size, 2))
    kind = rng.integers(3)
    if kind == 0:
        text = "".join(rng.choice(list("LRAPSUPINE0123456789"), rng.integers(1, 9)))
        cv2.putText(marked, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 0.9) * size / 320, gray, 1)
    elif kind == 1:
        width, height = (int(value) for value in rng.integers(size // 40, size // 6, 2))
        cv2.rectangle(marked, (x, y), (x + width, y + height), gray, -1 if rng.random() < 0.5 else 1)
    else:
        points = np.cumsum(np.vstack([[x, y], rng.normal(0, size / 8, (4, 2))]), axis=0)
        cv2.polylines(marked, [points.astype(np.int32)], False, gray, int(rng.integers(1, 3)))
    return marked
