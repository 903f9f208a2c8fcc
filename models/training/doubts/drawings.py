"""Pictures drawn by code that are not frontal chest radiographs: other body parts, other views, other pictures.

They are crude on purpose and vary widely: the rule that is fitted on them has to refuse what it never saw.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pixels import Pixels

Layer: TypeAlias = NDArray[np.float32]
Point: TypeAlias = tuple[float, float]
Draw: TypeAlias = Callable[[np.random.Generator], Layer]

SIDE = 320
_ROWS, _COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / np.float32(SIDE)


def tube(start: Point, end: Point, radius: float, hollow: float = 0.0) -> Layer:
    """The thickness of a round bar as X-rays see it, float32 [S, S]; points are (x, y) in 0..1.

    Args:
        hollow: share of the radius that is marrow: bones are brighter at their edges.
    """
    along = np.array(end) - np.array(start)
    length = max(float(along @ along), 1e-6)
    x, y = _COLUMNS - start[0], _ROWS - start[1]
    position = np.clip((x * along[0] + y * along[1]) / length, 0, 1)
    distance = (x - position * along[0]) ** 2 + (y - position * along[1]) ** 2
    thickness = np.sqrt(np.maximum(radius**2 - distance, 0)) / radius
    if hollow:
        inner = radius * hollow
        thickness -= 0.6 * np.sqrt(np.maximum(inner**2 - distance, 0)) / radius
    return np.asarray(thickness, np.float32)


def blob(centre: Point, width: float, height: float, power: float = 0.5) -> Layer:
    """An ellipsoid's thickness, float32 [S, S]."""
    distance = ((_COLUMNS - centre[0]) / width) ** 2 + ((_ROWS - centre[1]) / height) ** 2
    return np.asarray(np.maximum(1 - distance, 0) ** power, np.float32)


def _limb(rng: np.random.Generator) -> Layer:
    """One or two legs or arms: shafts, a joint, soft tissue."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    count = int(rng.integers(1, 3))
    for place in range(count):
        x = (place + 0.5) / count + rng.normal(0, 0.03)
        joint = (x + rng.normal(0, 0.03), rng.uniform(0.3, 0.7))
        top, bottom = (x + rng.normal(0, 0.06), -0.1), (x + rng.normal(0, 0.08), 1.1)
        flesh, bone = rng.uniform(0.16, 0.42) / count, rng.uniform(0.05, 0.11) / count
        picture += 0.5 * (tube(top, joint, flesh) + tube(joint, bottom, flesh * rng.uniform(0.7, 1)))
        picture += 0.6 * tube(top, (joint[0], joint[1] - 0.03), bone, 0.7)
        picture += 0.5 * tube((joint[0], joint[1] + 0.03), bottom, bone * 0.9, 0.7)
        if rng.random() < 0.7:
            side = rng.choice([-1, 1]) * bone * 2.2
            picture += 0.35 * tube((joint[0] + side, joint[1] + 0.06), (bottom[0] + side, 1.1), bone * 0.45, 0.6)
        for offset in (-0.05, 0.05):
            picture += 0.4 * blob((joint[0] + offset / count, joint[1]), 1.4 * bone, 0.05)
    return picture


def _hand(rng: np.random.Generator) -> Layer:
    """One or two hands, or feet when the fingers are short."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    count = int(rng.integers(1, 3))
    for place in range(count):
        x, size = (place + 0.5) / count, rng.uniform(0.75, 1.1) / count**0.7
        wrist = (x, 0.5 + 0.42 * size)
        picture += 0.3 * tube((x, 1.2), wrist, 0.12 * size) + 0.35 * blob(
            (x, 0.5 + 0.2 * size), 0.2 * size, 0.25 * size
        )
        for offset in (-0.04, 0.04):
            picture += 0.5 * tube((x + offset * size, 1.2), (x + offset * size, wrist[1]), 0.035 * size, 0.7)
        for _ in range(8):
            picture += 0.3 * blob((x + rng.normal(0, 0.05) * size, wrist[1] - 0.06 * size), 0.04 * size, 0.03 * size)
        reach = rng.uniform(0.5, 1)
        for finger, angle in enumerate(np.linspace(-0.6, 0.6, 5) + rng.normal(0, 0.05, 5)):
            way = np.array([np.sin(angle), -np.cos(angle)]) * size
            root = np.array(wrist) + 0.12 * way
            ends = np.cumsum([0.2, 0.16 * reach, 0.11 * reach, 0.08 * reach]) * (0.75 if finger in (0, 4) else 1)
            bones = [root, *(root + end * way for end in ends)]
            picture += 0.25 * tube(tuple(root), tuple(bones[-1]), 0.045 * size)
            for first, last in pairwise(bones):
                gap = 0.12 * (last - first)
                picture += 0.4 * tube(tuple(first + gap), tuple(last - gap), 0.022 * size, 0.5)
    return picture


def _skull(rng: np.random.Generator) -> Layer:
    """A head from the front or the side, with some neck."""
    x, y, width, height = rng.uniform(0.4, 0.6), rng.uniform(0.35, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.3, 0.45)
    picture = 0.6 * blob((x, y), width, height) + 0.5 * (blob((x, y), width, height) > 0) * (
        1 - blob((x, y), 0.94 * width, 0.94 * height, 0.25)
    )
    for side in (-1, 1):
        picture -= 0.25 * blob((x + side * 0.35 * width, y + 0.35 * height), 0.22 * width, 0.16 * height)
    picture -= 0.2 * blob((x, y + 0.6 * height), 0.14 * width, 0.22 * height)
    picture += 0.3 * tube((x, y + height), (x, 1.2), 0.4 * width) + _column(rng, x, y + 0.9 * height, 1.1, 0.06)
    return np.asarray(picture, np.float32)


def _column(rng: np.random.Generator, x: float, top: float, bottom: float, radius: float) -> Layer:
    """A spine of vertebrae with discs between, slightly bent."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    bend, step = rng.normal(0, 0.04), radius * rng.uniform(0.9, 1.3)
    for y in np.arange(top, bottom, step):
        middle = x + bend * np.sin(3 * y)
        picture += 0.3 * tube((middle - 0.5 * radius, y), (middle + 0.5 * radius, y), 0.42 * step)
    return picture


def _pelvis(rng: np.random.Generator) -> Layer:
    """Hips and the top of both thighs."""
    x, y, size = rng.uniform(0.46, 0.54), rng.uniform(0.4, 0.6), rng.uniform(0.8, 1.1)
    picture = 0.6 * blob((x, y), 0.6 * size, 0.8) + _column(rng, x, -0.1, y, 0.09 * size)
    for side in (-1, 1):
        hip = (x + side * 0.27 * size, y + 0.14 * size)
        picture += 0.35 * blob((x + side * 0.24 * size, y - 0.12 * size), 0.17 * size, 0.2 * size)
        picture += 0.5 * blob(hip, 0.07 * size, 0.07 * size)
        picture += 0.5 * tube(hip, (hip[0] + side * 0.1, 1.2), 0.05 * size, 0.6)
        picture += 0.35 * tube((x, y + 0.3 * size), hip, 0.035 * size)
    return picture - np.float32(0.2) * blob((x, y + 0.12 * size), 0.13 * size, 0.12 * size)


def _abdomen(rng: np.random.Generator) -> Layer:
    """Soft tissue, spine, gas, the lowest ribs."""
    x = rng.uniform(0.46, 0.54)
    picture = 0.8 * blob((x, 0.5), rng.uniform(0.5, 0.7), rng.uniform(0.8, 1.3)) + _column(rng, x, -0.1, 1.1, 0.1)
    for _ in range(int(rng.integers(4, 14))):
        centre = (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.9))
        picture -= rng.uniform(0.1, 0.35) * blob(centre, rng.uniform(0.02, 0.1), rng.uniform(0.02, 0.1))
    for side in (-1, 1):
        for rib in range(int(rng.integers(1, 4))):
            start = (x + side * 0.08, 0.02 + 0.1 * rib)
            picture += 0.15 * tube(start, (x + side * 0.45, 0.2 + 0.12 * rib), 0.018)
    return picture


def _lateral(rng: np.random.Generator) -> Layer:
    """A chest from the side: spine at the back, sternum and heart in front, one lung field over the other."""
    x, width = rng.uniform(0.42, 0.58), rng.uniform(0.3, 0.42)
    picture = 0.8 * blob((x, 0.55), width, 0.8, 0.6) + 0.3 * blob((x, 1.05), width, 0.35)
    picture -= 0.55 * blob((x - 0.05, 0.42), 0.8 * width, rng.uniform(0.34, 0.44), 0.4)
    picture += 0.35 * blob((x + 0.3 * width, 0.55), 0.45 * width, 0.18)
    picture += _column(rng, x - rng.uniform(0.6, 0.8) * width, -0.1, 1.1, 0.09)
    picture += 0.25 * tube((x + 0.75 * width, 0.25), (x + 0.9 * width, 0.65), 0.02)
    for rib in range(9):
        y = 0.12 + 0.075 * rib
        start, end = (x - 0.8 * width, y), (x + 0.8 * width, y + 0.18)
        picture += 0.08 * tube(start, end, 0.014)
    picture += 0.5 * blob((x + rng.uniform(-0.1, 0.2), 1.0), width, rng.uniform(0.18, 0.3), 0.3)
    picture += 0.3 * tube((x + 0.1, 0.15), (x + 0.3, -0.2), 0.1)
    return picture[:, ::-1] if rng.random() < 0.5 else picture


def _axial(rng: np.random.Generator) -> Layer:
    """A slice through the chest or belly, as computed tomography shows it."""
    x, y, width, height = 0.5, rng.uniform(0.45, 0.55), rng.uniform(0.35, 0.48), rng.uniform(0.24, 0.36)
    body = blob((x, y), width, height) > 0
    picture = 0.55 * body + 0.1 * (blob((x, y), 0.93 * width, 0.92 * height) > 0)
    if rng.random() < 0.75:
        lungs = np.zeros_like(body)
        for side in (-1, 1):
            size = rng.uniform(0.75, 1)
            lungs |= blob((x + side * 0.5 * width, y), 0.37 * width * size, 0.72 * height * size) > 0
        lungs &= ~(blob((x + 0.1 * width, y - 0.2 * height), 0.35 * width, 0.45 * height) > 0)
        picture[lungs] = rng.uniform(0.03, 0.15)
        for _ in range(40):
            centre = (x + rng.uniform(-0.8, 0.8) * width, y + rng.uniform(-0.7, 0.7) * height)
            picture += 0.4 * lungs * (blob(centre, 0.008, 0.008) > 0)
    else:
        for _ in range(8):
            centre = (x + rng.uniform(-0.7, 0.7) * width, y + rng.uniform(-0.7, 0.7) * height)
            picture += rng.uniform(-0.2, 0.2) * body * (blob(centre, rng.uniform(0.03, 0.15), 0.08) > 0)
    picture += 0.4 * (blob((x, y + 0.7 * height), 0.07, 0.06) > 0)
    if rng.random() < 0.6:
        picture += 0.25 * (np.abs(_ROWS - (y + height + 0.0375)) < 0.0075)
    return np.asarray(picture, np.float32)


def _text(rng: np.random.Generator) -> Layer:
    """A page or a form: lines of letters, dark on bright or bright on dark."""
    page = np.full((SIDE, SIDE), 255, np.uint8)
    size, letters = rng.uniform(0.3, 0.9), "abcdefghijklmnopqrstuvwxyz    ,.0123456789ABCDEFG"
    for row in range(int(rng.integers(5, 30)), SIDE, int(14 + 26 * size)):
        if rng.random() < 0.85:
            line = "".join(rng.choice(list(letters), int(rng.integers(10, 70))))
            indent = int(rng.integers(8, 40))
            cv2.putText(page, line, (indent, row), cv2.FONT_HERSHEY_SIMPLEX, size, 20, 1, cv2.LINE_AA)
    ink = page.astype(np.float32)
    return -ink if rng.random() < 0.3 else ink


def clouds(rng: np.random.Generator, slope: float) -> Layer:
    """Noise whose amplitude falls with frequency, as in photographs: float32 [S, S] in 0..1."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(SIDE, SIDE))) / frequency**slope
    spectrum[0, 0] = 0
    return _scaled(np.fft.irfft2(spectrum, (SIDE, SIDE)).astype(np.float32))


def _scene(rng: np.random.Generator) -> Layer:
    """Textured shapes in front of a textured background, as in photographs."""
    ground = rng.uniform(0.2, 1) * clouds(rng, rng.uniform(0.8, 2)) + rng.uniform(-1, 1) * _ROWS
    picture = np.asarray(ground, np.float32)
    for _ in range(int(rng.integers(1, 12))):
        if rng.random() < 0.5:
            shape = blob((rng.random(), rng.random()), rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.4)) > 0
        else:
            corners = (rng.random((int(rng.integers(3, 6)), 2)) * SIDE).astype(np.int32)
            shape = cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [corners], 1) > 0
        surface = rng.uniform(-0.7, 0.7) + rng.uniform(0, 0.5) * clouds(rng, 1.2)
        picture = np.asarray(np.where(shape, surface, picture), np.float32)
    return np.asarray(picture, np.float32)


def _noise(rng: np.random.Generator) -> Layer:
    """Noise of any grain, or a ramp."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return rng.random((SIDE, SIDE)).astype(np.float32)
    if kind == 1:
        return clouds(rng, rng.uniform(0.3, 2.2))
    if kind == 2:
        return np.asarray(_ROWS * rng.normal() + _COLUMNS * rng.normal(), np.float32)
    grain = rng.random((SIDE, SIDE)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(1, 20))), np.float32)


_DRAWN: Final[dict[str, tuple[Draw, bool]]] = {
    "legs and arms": (_limb, True),
    "hands and feet": (_hand, True),
    "heads": (_skull, True),
    "pelves": (_pelvis, True),
    "abdomens": (_abdomen, True),
    "laterals": (_lateral, True),
    "CT slices": (_axial, True),
    "text pages": (_text, False),
    "scenes": (_scene, False),
    "noise": (_noise, False),
}
"""Each kind's drawing, and whether it is shown like an X-ray picture."""

DRAWN_KINDS: Final = tuple(_DRAWN)


def draw_other(kind: str, seed: int) -> Pixels:
    """One picture of a kind of ``DRAWN_KINDS``, uint8 [320, 320], the same for the same seed."""
    rng = np.random.default_rng([DRAWN_KINDS.index(kind), seed])
    draw, is_xray = _DRAWN[kind]
    picture = draw(rng)
    if is_xray:
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.normal(0, 6), float(rng.uniform(0.85, 1.15)))
        turned = cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        soft = cv2.GaussianBlur(np.asarray(turned, np.float32), (0, 0), float(rng.uniform(0.6, 2)))
        levels = _scaled(np.asarray(soft, np.float32)) ** np.float32(rng.uniform(0.5, 1.4))
        grain = rng.uniform(0, 0.15) * clouds(rng, 1.3) + rng.normal(0, 0.015, (SIDE, SIDE))
        picture = np.asarray(levels + grain, np.float32)
    return np.asarray(_scaled(picture) * 255, np.uint8)


def _scaled(picture: Layer) -> Layer:
    low, high = float(picture.min()), float(picture.max())
    return np.asarray((picture - low) / max(high - low, 1e-6), np.float32)
