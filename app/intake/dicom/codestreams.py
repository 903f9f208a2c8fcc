"""Checks what a codestream declares before it is decoded, as a decoder allocates whatever the codestream declares."""

import re
from dataclasses import dataclass, replace
from typing import Final

from app.errors import UnreadableImage

_DAMAGED: Final = "The compressed pixel data are damaged or cut off"
_UNREAD: Final = "The compressed pixel data are coded in a way that is not read"
_PIECES: Final = "The compressed pixel data are in more pieces than those of any radiograph"
_PADDING: Final = b"\0\xff"
"""Fragments are padded to an even length, usually with zeros."""
_END, _SCAN = 0xD9, 0xDA
_FRAMES: Final = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7})
_MARKER: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""Markers that end the coded pixels; restart markers, which occur within them, are excluded."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_MAX_SEGMENTS: Final = 4096
_SIZ, _COD, _COC, _POC, _SOT, _SOD = 0x51, 0x52, 0x53, 0x5F, 0x90, 0x93
_BLOCK_STYLE: Final = 8
"""Offset of the code blocks' style in a coding style."""
_NOWHERE: Final = slice(0)
_OVERRULING: Final = frozenset({_SIZ, _COD, _COC, _POC})
"""With one component these are of no use after the main header, and would override what was checked there."""
_MAX_TILE_PARTS: Final = 65_536
MAX_TILES: Final = 4096
MAX_BLOCKS: Final = 1 << 20
"""Precincts and code blocks of a JPEG 2000 picture: the decoder allocates a hundred bytes or more for each."""
MAX_PACKETS: Final = 1 << 24
"""Precincts times resolutions times layers: OpenJPEG keeps a number for each."""
MAX_LAYERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """What a codestream declares.

    Attributes:
        process: the second byte of a JPEG's frame marker; 0x51 for JPEG 2000.
        precision: bits a sample.
        place: offset of a JPEG's precision, which its height follows; for JPEG 2000, of the code blocks' style.
        coded: offset of a JPEG's coded pixels.
        pieces: number of code blocks, precincts and packets of JPEG 2000.
    """

    process: int
    width: int
    height: int
    components: int
    precision: int
    place: int
    coded: int = 0
    pieces: int = 0


def read_jpeg_frame(data: bytes) -> Frame:
    """Reads the only frame of a JPEG or JPEG-LS codestream (ITU-T T.81 B.2, T.87 C.2).

    Raises:
        UnreadableImage: another kind of codestream, several frames or scans, or no end marker.
    """
    if data[:2] != b"\xff\xd8":
        raise UnreadableImage(_DAMAGED)
    place, frame = 2, None
    for _ in range(_MAX_SEGMENTS):
        if data[place : place + 1] != b"\xff" or place + 4 > len(data):
            raise UnreadableImage(_DAMAGED)
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _ALONE or marker == _END:
            raise UnreadableImage(_DAMAGED)
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        if marker in _FRAMES:
            if frame is not None or len(content) < 6:
                raise UnreadableImage(_DAMAGED)
            height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            frame = Frame(marker, width, height, content[5], content[0], place + 4)
        place += 2 + length
        if marker == _SCAN:
            _check_scan(data, place)
            if frame is None:
                raise UnreadableImage(_DAMAGED)
            return replace(frame, coded=place)
    raise UnreadableImage(_DAMAGED)


def _check_scan(data: bytes, start: int) -> None:
    """Checks that a single scan continues to the end marker; libjpeg silently fills in what is missing."""
    end = _MARKER.search(data, start)
    if end is None or data[end.start() + 1] != _END or data[end.end() :].strip(_PADDING):
        raise UnreadableImage(_DAMAGED)


def read_jpeg2000_frame(data: bytes) -> Frame:
    """Reads the main header of a JPEG 2000 codestream (ITU-T T.800 A.4 to A.6), HTJ2K included.

    Raises:
        UnreadableImage: another kind of codestream, no end marker, or more tiles, precincts, code blocks or layers
            than any radiograph has.
    """
    if data[:2] != b"\xff\x4f" or not data.rstrip(_PADDING).endswith(b"\xff\xd9"):
        raise UnreadableImage(_DAMAGED)
    segments, end = _segments(data, 2, _SOT)
    _check_tile_parts(data, end)
    size, style = data[segments.get(_SIZ, _NOWHERE)], data[segments.get(_COD, _NOWHERE)]
    if len(size) < 39 or len(style) < 10:
        raise UnreadableImage(_DAMAGED)
    if not segments.keys().isdisjoint({_COC, _POC}):
        raise UnreadableImage(_UNREAD)
    x1, y1, x0, y0, tile_width, tile_height, tile_x, tile_y = (
        int.from_bytes(size[start : start + 4], "big") for start in range(2, 34, 4)
    )
    components = int.from_bytes(size[34:36], "big")
    if not (x0 < x1 and y0 < y1 and tile_x <= x0 < tile_x + tile_width and tile_y <= y0 < tile_y + tile_height):
        raise UnreadableImage(_DAMAGED)
    if components == 1 and size[37:39] != b"\x01\x01":
        raise UnreadableImage("The compressed pixel data are subsampled")
    frame = Frame(_SIZ, x1 - x0, y1 - y0, components, (size[36] & 0x7F) + 1, segments[_COD].start + _BLOCK_STYLE)
    tiles = -(-(x1 - tile_x) // tile_width) * -(-(y1 - tile_y) // tile_height)
    blocks, packets = _pieces(style, min(tile_width, frame.width), min(tile_height, frame.height))
    if tiles > MAX_TILES or blocks * tiles > MAX_BLOCKS:
        raise UnreadableImage(_PIECES)
    return replace(frame, pieces=(blocks + packets) * tiles)


def _segments(data: bytes, place: int, last: int) -> tuple[dict[int, slice], int]:
    """The content of each segment from ``place`` to the marker ``last``, by marker, and the offset of ``last``.

    Raises:
        UnreadableImage: damaged segments, or a repeated one that decides the picture's structure.
    """
    segments: dict[int, slice] = {}
    for _ in range(_MAX_SEGMENTS):
        if data[place : place + 1] != b"\xff" or place + 4 > len(data):
            break
        marker = data[place + 1]
        if marker == last:
            return segments, place
        if marker in segments and marker in _OVERRULING:
            break
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        segments[marker] = slice(place + 4, place + 2 + length)
        place += 2 + length
    raise UnreadableImage(_DAMAGED)


def _check_tile_parts(data: bytes, place: int) -> None:
    """Checks that tile-parts follow each other from ``place`` to the end marker and override nothing (A.4.2)."""
    for _ in range(_MAX_TILE_PARTS):
        if data[place : place + 2] == b"\xff\xd9":
            return
        if data[place : place + 4] != b"\xff\x90\x00\x0a":
            break
        segments, coded = _segments(data, place + 12, _SOD)
        if not _OVERRULING.isdisjoint(segments):
            raise UnreadableImage(_UNREAD)
        size = int.from_bytes(data[place + 6 : place + 10], "big")
        if size == 0:
            return
        place = max(place + size, coded + 2)
    raise UnreadableImage(_DAMAGED)


def _pieces(style: bytes, width: int, height: int) -> tuple[int, int]:
    """Number of precincts and code blocks, and of packets, in a tile of ``width`` x ``height`` pixels (A.6.1).

    Raises:
        UnreadableImage: an impossible style, or more packets than any radiograph has.
    """
    layers, levels = int.from_bytes(style[2:4], "big"), style[5]
    precincts = style[10 : 10 + levels + 1] if style[0] & 1 else b"\xff" * (levels + 1)
    if not 0 < layers <= MAX_LAYERS or levels > 32 or len(precincts) < levels + 1:
        raise UnreadableImage(_DAMAGED)
    block_width, block_height = (style[6] & 15) + 2, (style[7] & 15) + 2
    blocks, most = 0, 0
    for resolution, exponents in enumerate(precincts):
        shrink = levels - resolution
        columns, rows = _over(width, shrink), _over(height, shrink)
        across, down = exponents & 15, exponents >> 4
        count = _over(columns, across) * _over(rows, down)
        most = max(most, count)
        # A code block does not cross the edge of its precinct.
        blocks += count + _over(columns, min(block_width, across)) * _over(rows, min(block_height, down))
    packets = most * (levels + 1) * (layers + 1)
    if packets > MAX_PACKETS:
        raise UnreadableImage(_PIECES)
    return blocks, packets


def _over(length: int, exponent: int) -> int:
    """``length`` divided by 2 to the power of ``exponent``, rounded up."""
    return -(-length >> exponent)
