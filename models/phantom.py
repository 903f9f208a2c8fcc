"""A frontal chest radiograph drawn by code: for tests, demonstrations and the self-test at start.

It shows no real person and is the same on every machine: it uses only integer geometry, blurs of 8-bit pictures and
a bit generator whose stream NumPy keeps stable. It is drawn on a canvas of fixed size and then resized.
"""

from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from models.anatomy.lungs import Lung, cut_zones
from models.anatomy.severity import ZONES
from models.pixels import Mask, Pixels

Points: TypeAlias = Sequence[tuple[int, int]]
Layer: TypeAlias = NDArray[np.int16]

MIN_SIZE = 64
CANVAS = 1024
_UNIT = 2
"""Canvas pixels per unit: outlines are written on a grid of 512."""
_FIXED_BITS = 4
_SEED = 1895

_TORSO: Final = (
    (196, -20), (190, 22), (130, 40), (50, 34), (-10, 60), (-30, 190), (6, 270), (34, 340), (40, 430),
    (34, 540), (478, 540), (472, 430), (478, 340), (506, 270), (542, 190), (522, 60), (462, 34), (382, 40),
    (322, 22), (316, -20),
)  # fmt: skip
_LEFT_LUNG: Final = (
    (178, 52), (203, 62), (212, 90), (208, 140), (206, 190), (212, 250), (216, 300), (224, 352), (206, 346),
    (176, 340), (140, 346), (104, 368), (78, 408), (66, 412), (70, 350), (76, 290), (84, 230), (95, 170),
    (111, 120), (136, 76),
)  # fmt: skip
"""The image's left, the patient's right."""
_RIGHT_LUNG: Final = (
    (334, 52), (309, 62), (300, 90), (305, 140), (303, 190), (300, 250), (298, 300), (296, 362), (318, 366),
    (350, 362), (384, 366), (416, 384), (436, 416), (448, 420), (443, 350), (437, 290), (429, 230),
    (418, 170), (402, 120), (376, 76),
)  # fmt: skip
_SPINE: Final = ((232, -20), (280, -20), (286, 250), (290, 540), (224, 540), (228, 250))
_MEDIASTINUM: Final = (
    (222, 50), (290, 50), (306, 110), (324, 150), (322, 180), (310, 220), (310, 400), (212, 400), (206, 300),
    (212, 200), (206, 110),
)  # fmt: skip
_HEART: Final = (
    (216, 200), (306, 200), (336, 236), (368, 290), (392, 350), (396, 400), (300, 410), (206, 400),
    (194, 340), (200, 280),
)  # fmt: skip
_TRACHEA: Final = ((248, -20), (266, -20), (267, 120), (280, 150), (234, 150), (247, 120))
_CLAVICLE: Final = ((234, 104), (208, 102), (170, 88), (130, 70), (90, 60), (44, 62))
_SHOULDER: Final = ((26, 82), (10, 130), (-10, 190))
_ABDOMEN: Final = (
    (60, 440), (100, 380), (140, 356), (180, 350), (224, 364), (296, 374), (350, 372), (390, 376), (425, 400),
    (452, 440), (470, 560), (40, 560),
)  # fmt: skip


def draw_phantom(size: int = CANVAS, diseased: Collection[str] = ()) -> Pixels:
    """A synthetic frontal chest radiograph.

    Args:
        size: its side, pixels.
        diseased: zones with hazy opacities, as in ``models.anatomy.severity.ZONES``.

    Returns:
        uint8 [size, size], bones bright.

    Raises:
        ValueError: a size under ``MIN_SIZE`` or an unknown zone.
    """
    _check_size(size)
    unknown = set(diseased) - set(ZONES)
    if unknown:
        raise ValueError(f"expected zones out of {', '.join(ZONES)}, found {', '.join(sorted(unknown))}")
    levels = _tissue() + _bones() + _vessels() + _noise() + np.int16(14)
    if diseased:
        levels += _haze(frozenset(diseased))
    return _resized(np.clip(levels, 0, 255).astype(np.uint8), size)


def phantom_lungs(size: int = CANVAS) -> Mask:
    """The phantom's lung fields, with the parts behind the heart and the diaphragm's edge: bool [size, size].

    Raises:
        ValueError: a size under ``MIN_SIZE``.
    """
    _check_size(size)
    return _resized(_filled(_LEFT_LUNG, _RIGHT_LUNG), size) > 127


def _check_size(size: int) -> None:
    if size < MIN_SIZE:
        raise ValueError(f"expected a side of {MIN_SIZE} pixels at least, found {size}")


def _tissue() -> Layer:
    """int16 [C, C]: soft tissue, and the air that takes its place."""
    abdomen = _filled(_ABDOMEN)
    heart = cv2.subtract(_filled(_HEART), abdomen)
    mediastinum = cv2.subtract(_filled(_MEDIASTINUM), abdomen)
    return (
        _layer(_filled(_TORSO), 118, softness=25)
        - _layer(_filled(_LEFT_LUNG, _RIGHT_LUNG), 92, softness=11)
        + _layer(_filled(_SPINE), 26, softness=21)
        + _layer(mediastinum, 32, softness=21)
        + _layer(heart, 64, softness=19)
        + _layer(abdomen, 48, softness=25)
        - _layer(_filled(_TRACHEA), 24, softness=11)
    )


def _bones() -> Layer:
    """int16 [C, C]: ribs, clavicles, shoulders and vertebrae."""
    chest = cv2.dilate(_filled(_LEFT_LUNG, _RIGHT_LUNG), np.ones((21, 21), np.uint8))
    back = _stroked([_back_rib(side, level) for side in (-1, 1) for level in range(10)], 9)
    front = _stroked([_front_rib(side, level) for side in (-1, 1) for level in range(6)], 10)
    clavicles = _stroked([_mirrored(_CLAVICLE, side) for side in (-1, 1)], 11)
    shoulders = _stroked([_mirrored(_SHOULDER, side) for side in (-1, 1)], 30)
    discs = _stroked([((238, y), (276, y)) for y in range(24, 512, 26)], 3)
    return (
        _layer(cv2.bitwise_and(back, chest), 24, softness=5)
        + _layer(cv2.bitwise_and(front, chest), 13, softness=7)
        + _layer(clavicles, 26, softness=9)
        + _layer(shoulders, 26, softness=11)
        - _layer(discs, 10, softness=7)
    )


def _vessels() -> Layer:
    """int16 [C, C]: hila and the vessels that leave them and get thinner outwards."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    for side, root in ((-1, (208, 214)), (1, (308, 206))):
        for run, rise in ((-70, -110), (-95, -50), (-100, 20), (-90, 80), (-60, 110), (-25, 120)):
            end = (root[0] - side * run, root[1] + rise)
            middle = ((root[0] + end[0]) // 2 + rise // 12, (root[1] + end[1]) // 2 + 8)
            for line, width in (((root, middle), 6), ((middle, end), 3)):
                np.maximum(canvas, _stroked([line], width), out=canvas)
    lungs = _filled(_LEFT_LUNG, _RIGHT_LUNG)
    hila = _stroked([((204, 196), (206, 240)), ((312, 186), (312, 230))], 22)
    return _layer(cv2.bitwise_and(canvas, lungs), 20, softness=13) + _layer(hila, 30, softness=51)


def _haze(diseased: frozenset[str]) -> Layer:
    """int16 [C, C]: soft patches over most of the named zones."""
    zones = np.zeros((CANVAS, CANVAS), np.uint8)
    for first, outline in ((0, _LEFT_LUNG), (3, _RIGHT_LUNG)):
        lung: Lung = cut_zones(_filled(outline) > 0)
        for name, rows in zip(ZONES[first : first + 3], lung.zones, strict=True):
            if name in diseased:
                zones[rows][lung.mask[rows]] = 255
    patches = _blurred(_random_pixels(_SEED + 1), 61)
    ragged = cv2.bitwise_and(_blurred(zones, 41), np.where(patches > 126, 255, 40).astype(np.uint8))
    return _layer(ragged, 62, softness=31)


def _noise() -> Layer:
    """int16 [C, C]: fine grain with coarse mottle, 0 on average."""
    grain = _blurred(_random_pixels(_SEED), 5).astype(np.int16) - np.int16(127)
    mottle = _blurred(_random_pixels(_SEED + 2), 31).astype(np.int16) - np.int16(127)
    return grain // np.int16(6) + mottle


def _random_pixels(seed: int) -> Pixels:
    words = np.random.PCG64(seed).random_raw(CANVAS * CANVAS // 8)
    return words.astype("<u8").view(np.uint8).reshape(CANVAS, CANVAS)


def _back_rib(side: int, level: int) -> Points:
    """From the spine outwards, up a little and then down along the chest wall."""
    start = 62 + 30 * level
    return _mirrored([(222 - 20 * step, start - 9 * step + 2 * step * step) for step in range(9)], side)


def _front_rib(side: int, level: int) -> Points:
    """From the chest wall inwards and down."""
    start = 130 + 40 * level
    return _mirrored([(70 + 20 * step, start + 14 * step - step * step // 2) for step in range(6)], side)


def _mirrored(points: Points, side: int) -> Points:
    """Points of the image's left half (``side`` -1), or their mirror images on the right (1)."""
    return [(511 - x, y) if side > 0 else (x, y) for x, y in points]


def _filled(*outlines: Points) -> Pixels:
    """uint8 [C, C]: closed outlines with their corners rounded, 255 on 0."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    smooth = [_rounded(outline) for outline in outlines]
    cv2.fillPoly(canvas, smooth, 255, lineType=cv2.LINE_8, shift=_FIXED_BITS)
    return canvas


def _stroked(lines: Sequence[Points], width: int) -> Pixels:
    """uint8 [C, C]: open lines ``width`` units wide, 255 on 0."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    drawn = [_fixed_point(line) for line in lines]
    cv2.polylines(canvas, drawn, False, 255, width * _UNIT, lineType=cv2.LINE_8, shift=_FIXED_BITS)
    return canvas


def _fixed_point(points: Points) -> NDArray[np.int32]:
    return np.array(points, np.int32) * np.int32(_UNIT << _FIXED_BITS)


def _rounded(outline: Points) -> NDArray[np.int32]:
    """Chaikin's corner cutting, in integers."""
    points = _fixed_point(outline)
    for _ in range(3):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([(3 * points + following) // 4, (points + 3 * following) // 4], axis=1)
        points = cut.reshape(-1, 2).astype(np.int32)
    return points


def _layer(drawn: MatLike, level: int, softness: int) -> Layer:
    """int16 [C, C]: gray levels that a drawing 0..255 adds."""
    return (_blurred(drawn, softness).astype(np.int32) * level // 255).astype(np.int16)


def _blurred(drawn: MatLike, kernel: int) -> Pixels:
    return np.asarray(cv2.GaussianBlur(drawn, (kernel, kernel), 0), dtype=np.uint8)


def _resized(canvas: Pixels, size: int) -> Pixels:
    way = cv2.INTER_AREA if size < CANVAS else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(canvas, (size, size), interpolation=way), dtype=np.uint8)
