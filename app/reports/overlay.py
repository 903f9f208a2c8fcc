"""The paper's picture: lungs, zones, disease and shares drawn over the radiograph. Colours are BGR, as OpenCV's."""

from math import isnan
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np

from models.lungs import Box, lungs_box
from models.pixels import Mask, Pixels
from models.workflow import Analysis

PictureFormat: TypeAlias = Literal["jpeg", "png", "webp"]
Colour: TypeAlias = tuple[int, int, int]

CYAN: Final[Colour] = (255, 255, 0)
WHITE: Final[Colour] = (255, 255, 255)
YELLOW: Final[Colour] = (0, 230, 255)
RED: Final[Colour] = (30, 30, 255)
CAPTION: Final = "Research use only"

_FILL_OPACITY: Final = 0.4
_FILL: Final[Pixels] = np.rint(
    np.add.outer(np.arange(256) * (1 - _FILL_OPACITY), np.multiply(RED, _FILL_OPACITY))
).astype(np.uint8)[None]
"""uint8 [1, 256, 3]: the colour of disease over each gray level."""

_LUNGS: Final = (1, 4)
"""The first zone label of each lung; two more follow it."""

# Sizes as a share of the picture's longer side: all scale with it, down to what can still be read.
_LINE_SHARE: Final = 1 / 600
_TEXT_SHARE: Final = 1 / 42
_CAPTION_SHARE: Final = 1 / 64
_MIN_TEXT: Final = 9

_ENCODINGS: Final[dict[PictureFormat, tuple[str, str, list[int]]]] = {
    "jpeg": ("image/jpeg", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "png": ("image/png", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]),
    "webp": ("image/webp", ".webp", [cv2.IMWRITE_WEBP_QUALITY, 85]),
}


def draw_overlay(pixels: Pixels, analysis: Analysis, max_side: int = 2048) -> Pixels:
    """The radiograph with what was found: what was not found is not drawn.

    Args:
        pixels: uint8 [H, W], the radiograph.
        analysis: of that radiograph; its masks are [H, W] too.
        max_side: pixels; a radiograph with a longer side is shrunk to it first.

    Returns:
        uint8 [h, w, 3], BGR, the radiograph's own size unless it was shrunk.

    Raises:
        ValueError: pixels of another shape or dtype than the masks', or a ``max_side`` under 1.
    """
    if pixels.dtype != np.uint8 or pixels.shape != analysis.zones.shape:
        wanted = list(analysis.zones.shape)
        raise ValueError(f"expected uint8 {wanted}, found {pixels.dtype} {list(pixels.shape)}")
    if max_side < 1:
        raise ValueError(f"expected a longest side of 1 pixel at least, found {max_side}")
    gray = _shrunk(pixels, max_side, cv2.INTER_AREA)
    lungs, disease = (
        _shrunk(mask.view(np.uint8), max_side, cv2.INTER_NEAREST).view(np.bool_)
        for mask in (analysis.lungs, analysis.disease)
    )
    zones = _shrunk(analysis.zones, max_side, cv2.INTER_NEAREST)
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    _fill_disease(picture, disease)
    box = lungs_box(lungs)
    if box is not None:
        rows, columns = box.slices
        _draw_lungs(picture, lungs[rows, columns], zones[rows, columns], box)
        _write_shares(picture, zones[rows, columns], box, analysis)
    _write_caption(picture)
    return picture


def encode_picture(picture: Pixels, format: PictureFormat) -> tuple[str, bytes]:
    """The media type and the file of a picture uint8 [h, w, 3] BGR (or [h, w] gray).

    Raises:
        ValueError: the format cannot hold the picture (WebP ends at 16,383 pixels a side).
    """
    media_type, extension, options = _ENCODINGS[format]
    return media_type, _encoded(picture, extension, options)


def encode_mask(mask: Mask) -> bytes:
    """A mask bool [H, W] as a PNG of one channel, 0 and 255."""
    return _encoded(mask.view(np.uint8) * np.uint8(255), ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])


def _encoded(picture: Pixels, extension: str, options: list[int]) -> bytes:
    try:
        done, data = cv2.imencode(extension, picture, options)
    except cv2.error as error:
        raise ValueError(f"cannot write {list(picture.shape)} pixels as {extension}") from error
    if not done:
        raise ValueError(f"cannot write {list(picture.shape)} pixels as {extension}")
    return data.tobytes()


def _shrunk(pixels: Pixels, max_side: int, interpolation: int) -> Pixels:
    height, width = pixels.shape
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), dtype=np.uint8)


def _line_width(picture: Pixels) -> int:
    return max(round(max(picture.shape) * _LINE_SHARE), 1)


def _fill_disease(picture: Pixels, disease: Mask) -> None:
    """Tints the disease red in place, a thin full red line around it."""
    box = lungs_box(disease)
    if box is None:
        return
    region, member = picture[box.slices], disease[box.slices].view(np.uint8)
    cv2.copyTo(cv2.LUT(region, _FILL), member, region)
    _outline(picture, member, (box.x0, box.y0), RED, max(_line_width(picture) // 2, 1))


def _draw_lungs(picture: Pixels, lungs: Mask, zones: Pixels, box: Box) -> None:
    """Outlines and zone borders; ``lungs`` and ``zones`` are what lies in ``box``."""
    width = _line_width(picture)
    for first in _LUNGS:
        # Each lung by itself: two that touch were cut apart, and the picture shows where.
        lung = _labelled(zones, first, first + 2)
        for label in (first, first + 1):
            zone = lungs_box(_labelled(zones, label, label))
            if zone is not None:
                _dash(picture[box.slices], lung[zone.y0], zone.y0, width)
        _outline(picture, lung.view(np.uint8), (box.x0, box.y0), CYAN, width)
    stray = lungs & (zones == 0)
    if stray.any():
        _outline(picture, stray.view(np.uint8), (box.x0, box.y0), CYAN, width)


def _labelled(zones: Pixels, first: int, last: int) -> Mask:
    """bool [H, W]: the labels ``first`` to ``last``."""
    return np.asarray(cv2.inRange(zones, first, last)).view(np.bool_)


def _outline(picture: Pixels, member: Pixels, offset: tuple[int, int], colour: Colour, width: int) -> None:
    borders, _ = cv2.findContours(member, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=offset)
    cv2.drawContours(picture, borders, -1, colour, width, cv2.LINE_AA)


def _dash(picture: Pixels, inside: Mask, row: int, width: int) -> None:
    """A dashed horizontal line centred on the upper edge of ``row``, where ``inside`` bool [W] allows it."""
    columns = np.flatnonzero(inside)
    dashed = columns[(columns - columns[0]) // (3 * width) % 3 < 2]
    picture[max(row - width // 2, 0) : row + (width + 1) // 2, dashed] = CYAN


def _write_shares(picture: Pixels, zones: Pixels, box: Box, analysis: Analysis) -> None:
    """The known shares, each in its zone; bold and yellow over the threshold."""
    height = round(max(picture.shape) * _TEXT_SHARE)
    for label, share in enumerate(analysis.shares, start=1):
        member = _labelled(zones, label, label)
        zone = lungs_box(member)
        if isnan(share) or zone is None:
            continue
        row = (zone.y0 + zone.y1) // 2
        columns = np.flatnonzero(member[row])
        column = int(np.median(columns)) if len(columns) else (zone.x0 + zone.x1) // 2
        affected = share > analysis.threshold
        _write(
            picture,
            f"{share:.0%}",
            centre=(box.x0 + column, box.y0 + row),
            height=min(height, zone.height // 2),
            colour=YELLOW if affected else WHITE,
            bold=affected,
        )


def _write_caption(picture: Pixels) -> None:
    height = round(max(picture.shape) * _CAPTION_SHARE)
    _write(picture, CAPTION, (picture.shape[1] // 2, picture.shape[0]), height, WHITE, bold=False)


def _write(
    picture: Pixels, text: str, centre: tuple[int, int], height: int, colour: Colour, bold: bool
) -> None:
    """Writes in place, moved inwards at the picture's edge; a picture too small for the text stays without.

    Args:
        centre: x and y of the text's middle.
        height: of a capital letter, pixels; raised to what can be read.
        bold: heavier strokes.
    """
    drawn = _drawn_text(text, max(height, _MIN_TEXT), bold)
    if drawn.shape[0] > picture.shape[0] or drawn.shape[1] > picture.shape[1]:
        return
    top = min(max(centre[1] - drawn.shape[0] // 2, 0), picture.shape[0] - drawn.shape[0])
    left = min(max(centre[0] - drawn.shape[1] // 2, 0), picture.shape[1] - drawn.shape[1])
    region = picture[top : top + drawn.shape[0], left : left + drawn.shape[1]]
    # A black rim keeps the text apart from bright ground. It is grown from the letters: how thick
    # strokes come out of putText differs between OpenCV's fonts.
    reach = 2 * max(height // 10, 1) + 1
    rim = cv2.dilate(drawn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    cv2.subtract(region, cv2.cvtColor(rim, cv2.COLOR_GRAY2BGR), dst=region)
    letters = drawn[..., None].astype(np.uint16) * np.array(colour, np.uint16) // 255
    cv2.add(region, letters.astype(np.uint8), dst=region)


def _drawn_text(text: str, height: int, bold: bool) -> Pixels:
    """uint8 [h, w]: the text 255 on 0, with room around it for a rim."""
    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    strokes = max(height // 10, 1) + bold
    scale = height / cv2.getTextSize("0", font, 1, 1)[0][1]
    (width, tall), below = cv2.getTextSize(text, font, scale, strokes)
    margin = max(height // 6, 2)
    drawn = np.zeros((tall + below + 2 * margin, width + 2 * margin), np.uint8)
    cv2.putText(drawn, text, (margin, margin + tall), font, scale, 255, strokes, cv2.LINE_AA)
    return drawn
