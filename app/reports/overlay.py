"""Draws lungs, zones, disease and shares over the radiograph, as the paper's figure does.

Colours are in OpenCV's order, BGR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from app.reports.words import summarise
from models.analysis import Analysis
from models.anatomy.lungs import Box, lungs_box
from models.pixels import Mask, Pixels

PictureFormat: TypeAlias = Literal["jpeg", "png", "webp"]
Colour: TypeAlias = tuple[int, int, int]

CYAN: Final[Colour] = (255, 255, 0)
WHITE: Final[Colour] = (255, 255, 255)
YELLOW: Final[Colour] = (0, 230, 255)
RED: Final[Colour] = (30, 30, 255)
CAPTION: Final = "Research use only"
MAX_SIDE: Final = 2048
"""Longest side of a picture in an answer, pixels."""

# One filter for all rows. OpenCV's default, which tries each filter on each row, takes half as long again for a picture
# and four times as long for a mask, and saves only 2 % and 20 % of the bytes.
_FAST_PNG: Final = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER)

_FILL_OPACITY: Final = 0.4
_FILL: Final[Pixels] = np.rint(
    np.add.outer(np.arange(256) * (1 - _FILL_OPACITY), np.multiply(RED, _FILL_OPACITY))
).astype(np.uint8)[:, None]
"""uint8 [256, 1, 3]: the colour of disease over each gray level."""

_FIRST_LABELS: Final = (1, 4)
"""The first zone label of each lung; two more follow it."""

# Sizes as a share of the picture's longer side; text gets no smaller than what can still be read.
_LINE_SHARE: Final = 1 / 600
_TEXT_SHARE: Final = 1 / 42
_CAPTION_SHARE: Final = 1 / 64
_MIN_TEXT: Final = 9

_ENCODINGS: Final[dict[PictureFormat, tuple[str, str, list[int]]]] = {
    "jpeg": ("image/jpeg", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "png": ("image/png", ".png", [*_FAST_PNG, cv2.IMWRITE_PNG_FILTER_UP]),
    "webp": ("image/webp", ".webp", [cv2.IMWRITE_WEBP_QUALITY, 85]),
}


@dataclass(frozen=True, slots=True, eq=False)
class _Zone:
    """One zone: its mask bool [h, w] and the box in which it lies."""

    member: Mask
    box: Box


def draw_overlay(pixels: Pixels, analysis: Analysis, max_side: int = MAX_SIDE) -> Pixels:
    """Draws what was found over the radiograph.

    Without a score neither disease nor shares are drawn, and a heading says why.

    Args:
        pixels: uint8 [H, W], the radiograph.
        analysis: of that radiograph; its masks are [H, W] too.
        max_side: pixels; a radiograph with a longer side is shrunk to it first.

    Returns:
        uint8 [h, w, 3], BGR, the radiograph's own size unless it was shrunk.

    Raises:
        ValueError: pixels of another shape or dtype than the masks', or a ``max_side`` under 1.
    """
    wanted = list(analysis.masks.shape)
    if pixels.dtype != np.uint8 or list(pixels.shape) != wanted:
        raise ValueError(f"expected uint8 {wanted}, found {pixels.dtype} {list(pixels.shape)}")
    if max_side < 1:
        raise ValueError(f"expected a longest side of 1 pixel at least, found {max_side}")
    gray = shrunk(pixels, max_side)
    masks = analysis.masks.at(*gray.shape)
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    is_scored = analysis.score is not None
    if is_scored:
        _fill_disease(picture, gray, masks.disease)
    box = lungs_box(masks.lungs)
    if box is not None:
        labels = masks.zones[box.slices]
        found = _found_zones(labels)
        _draw_lungs(picture, masks.lungs[box.slices], labels, found, box)
        if is_scored:
            _write_shares(picture, box, found, analysis)
    if not is_scored:
        write_heading(picture, summarise(analysis))
    _write_caption(picture)
    return picture


def encode_picture(picture: Pixels, format: PictureFormat) -> tuple[str, bytes]:
    """Encodes a picture uint8 [h, w, 3] BGR (or [h, w] gray); returns the media type and the file's bytes.

    Raises:
        ValueError: the format cannot hold the picture (WebP allows at most 16,383 pixels a side).
    """
    media_type, extension, options = _ENCODINGS[format]
    return media_type, _encoded(picture, extension, options)


def encode_mask(mask: Mask) -> bytes:
    """Encodes a mask bool [H, W] as a PNG with one channel of 0 and 255."""
    return _encoded(mask.view(np.uint8) * np.uint8(255), ".png", [*_FAST_PNG, cv2.IMWRITE_PNG_FILTER_NONE])


def _encoded(picture: Pixels, extension: str, options: Sequence[int]) -> bytes:
    try:
        done, data = cv2.imencode(extension, picture, options)
    except cv2.error as error:
        raise ValueError(f"cannot write {list(picture.shape)} pixels as {extension}") from error
    if not done:
        raise ValueError(f"cannot write {list(picture.shape)} pixels as {extension}")
    return bytes(data)


def shrunk(pixels: Pixels, max_side: int) -> Pixels:
    """Shrinks a radiograph uint8 [H, W] to ``max_side`` at most, keeping its aspect; a smaller one stays as it is."""
    height, width = pixels.shape
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    # Down to half the size, linear interpolation still uses every pixel, and it takes a tenth of the time.
    how = cv2.INTER_LINEAR if scale > 0.5 else cv2.INTER_AREA
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=np.uint8)


def _line_width(picture: Pixels) -> int:
    longer: int = max(picture.shape)
    return max(round(longer * _LINE_SHARE), 1)


def _fill_disease(picture: Pixels, gray: Pixels, disease: Mask) -> None:
    """Tints the disease red in place, and draws a thin opaque red line around it."""
    box = lungs_box(disease)
    if box is None:
        return
    region, member = picture[box.slices], disease[box.slices].view(np.uint8)
    cv2.copyTo(cv2.applyColorMap(gray[box.slices], _FILL), member, region)
    _outline(picture, member, box, RED, max(_line_width(picture) // 2, 1))


def _found_zones(zones: Pixels) -> dict[int, _Zone]:
    """The zones by label, from labels uint8 [h, w]; a zone without pixels is left out."""
    found = {}
    for label in range(1, 7):
        member = zones == label
        box = lungs_box(member)
        if box is not None:
            found[label] = _Zone(member[box.slices], box)
    return found


def _draw_lungs(picture: Pixels, lungs: Mask, labels: Pixels, zones: dict[int, _Zone], box: Box) -> None:
    """Draws the lungs' outlines and the zones' borders in place.

    Args:
        lungs: bool [h, w], the part of the mask in ``box``.
        labels: uint8 [h, w], the zones in ``box``.
        zones: the same zones, one by one.
    """
    width = _line_width(picture)
    for first in _FIRST_LABELS:
        # Each lung by itself: two lungs that touch were cut apart, and the picture shows where.
        lung = labels - np.uint8(first) < 3  # labels below the first wrap around to large values
        for label in (first, first + 1):
            if label in zones:
                row = zones[label].box.y0
                _dash(picture, box.y0 + row, box.x0 + np.flatnonzero(lung[row]), width)
        _outline(picture, lung.view(np.uint8), box, CYAN, width)
    # Under the reference's two-lung rule, a third component belongs to the lungs but to no zone.
    stray = lungs & (labels == 0)
    if stray.any():
        _outline(picture, stray.view(np.uint8), box, CYAN, width)


def _outline(picture: Pixels, member: Pixels, box: Box, colour: Colour, width: int) -> None:
    """Outlines in place the components of ``member``, uint8 [h, w], which lies in ``box``."""
    borders, _ = cv2.findContours(member, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(box.x0, box.y0))
    # Smoothed within the line's own width: following every pixel takes several times as long and looks no better.
    smooth = [cv2.approxPolyDP(border, width / 2, True) for border in borders]
    cv2.drawContours(picture, smooth, -1, colour, width, cv2.LINE_AA)


def _dash(picture: Pixels, row: int, columns: NDArray[np.int64], width: int) -> None:
    """Draws a dashed line in place, centred on the upper edge of ``row``, within ``columns``."""
    dashed = columns[(columns - columns[0]) // (3 * width) % 3 < 2]
    picture[max(row - width // 2, 0) : row + (width + 1) // 2, dashed] = CYAN


def _write_shares(picture: Pixels, origin: Box, zones: dict[int, _Zone], analysis: Analysis) -> None:
    """Writes the known shares in place, each into its zone; bold and yellow over the threshold.

    Args:
        origin: the box in which ``zones`` lie.
    """
    height = round(max(picture.shape) * _TEXT_SHARE)
    for label, share in enumerate(analysis.shares, start=1):
        if label not in zones or isnan(share):
            continue
        zone = zones[label]
        column, row = _roomiest(zone.member)
        affected = bool(analysis.affects(share))
        _write(
            picture,
            f"{share:.0%}",
            centre=(origin.x0 + zone.box.x0 + column, origin.y0 + zone.box.y0 + row),
            height=min(height, zone.box.height // 2),
            colour=YELLOW if affected else WHITE,
            bold=affected,
        )


def _roomiest(member: Mask) -> tuple[int, int]:
    """Column and row of the point in a mask bool [h, w] that leaves most room around it for text."""
    step = max(max(member.shape) // 64, 1)
    # Twice as coarse across, as the text of a share is about twice as wide as it is tall.
    coarse = member[step // 2 :: step, step // 2 :: 2 * step].view(np.uint8)
    coarse = np.asarray(cv2.copyMakeBorder(coarse, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0))
    depth = cv2.distanceTransform(coarse, cv2.DIST_L2, cv2.DIST_MASK_3)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return (int(column) - 1) * 2 * step + step // 2, (int(row) - 1) * step + step // 2


def _write_caption(picture: Pixels) -> None:
    height = round(max(picture.shape) * _CAPTION_SHARE)
    _write(picture, CAPTION, (picture.shape[1] // 2, picture.shape[0]), height, WHITE, bold=False)


def write_heading(picture: Pixels, text: str) -> None:
    """Writes a line at the top of a picture uint8 [h, w, 3], in place, unless the picture is too narrow for it."""
    height = round(max(picture.shape) * _CAPTION_SHARE)
    _write(picture, text, (picture.shape[1] // 2, 0), height, WHITE, bold=True)


def _write(picture: Pixels, text: str, centre: tuple[int, int], height: int, colour: Colour, bold: bool) -> None:
    """Writes text in place, moved inwards at the picture's edge, unless the picture is too small for it.

    Args:
        centre: x and y of the text's middle.
        height: of a capital letter, pixels; raised to a readable minimum.
        bold: heavier strokes.
    """
    drawn = _drawn_text(text, max(height, _MIN_TEXT), bold)
    if drawn.shape[0] > picture.shape[0] or drawn.shape[1] > picture.shape[1]:
        return
    top = min(max(centre[1] - drawn.shape[0] // 2, 0), picture.shape[0] - drawn.shape[0])
    left = min(max(centre[0] - drawn.shape[1] // 2, 0), picture.shape[1] - drawn.shape[1])
    region = picture[top : top + drawn.shape[0], left : left + drawn.shape[1]]
    # A black rim sets the text off from a bright background. It is grown from the letters, as putText draws strokes of
    # different widths in different fonts.
    reach = 2 * max(height // 10, 1) + 1
    rim = cv2.dilate(drawn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    cv2.subtract(region, cv2.cvtColor(rim, cv2.COLOR_GRAY2BGR), dst=region)
    letters = drawn[..., None].astype(np.uint16) * np.array(colour, np.uint16) // 255
    cv2.add(region, letters.astype(np.uint8), dst=region)


def _drawn_text(text: str, height: int, bold: bool) -> Pixels:
    """uint8 [h, w]: the text as 255 on 0, with room around it for a rim."""
    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    strokes = max(height // 10, 1) + bold
    scale = height / cv2.getTextSize("0", font, 1, 1)[0][1]
    (width, tall), below = cv2.getTextSize(text, font, scale, strokes)
    margin = max(height // 6, 2)
    drawn = np.zeros((tall + below + 2 * margin, width + 2 * margin), np.uint8)
    cv2.putText(drawn, text, (margin, margin + tall), font, scale, 255, strokes, cv2.LINE_AA)
    return drawn
