"""Edits that know a format: its chunks, segments, entries or fields are found, changed, and put together again."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Literal, TypeAlias

from tests.support.samples import PNG, chunk

ByteOrder: TypeAlias = Literal["little", "big"]
Editor: TypeAlias = Callable[[bytes, Random], bytes]

EXTREMES: Final = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257),
    *(511, 512, 1000, 4095, 4096, 7000, 16383, 16384, 16385, 32767, 32768, 32803, 65535, 65536, 1 << 20),
    *((1 << 24) - 1, (1 << 28) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 62, (1 << 64) - 1),
)
_REPEATS: Final = (1, 1, 2, 3, 10, 300, 3000)
_MAX_BYTES: Final = 2 << 20
"""Of a file that repetition makes."""


def number(rng: Random, size: int, present: int) -> int:
    """One that is likely to hurt in a field of ``size`` bytes: an extreme, or near what is there."""
    near = (present + 1, present - 1, present * 2, present // 2, present + 64, rng.getrandbits(8 * size))
    return rng.choice((rng.choice(EXTREMES), rng.choice(near))) % (1 << 8 * size)


def scramble(data: bytes, rng: Random) -> bytes:
    """Knows nothing of formats: bits, bytes, runs, numbers, and the end."""
    if not data:
        return rng.randbytes(rng.choice((1, 4, 40)))
    changed, at = bytearray(data), rng.randrange(len(data))
    length = min(rng.choice((1, 1, 2, 4, 8, 64, 1000)), len(data) - at)
    match rng.randrange(9):
        case 0:
            for _ in range(rng.choice((1, 1, 3, 20))):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        case 1:
            changed[at : at + length] = rng.randbytes(length)
        case 2:
            del changed[at : at + length]
        case 3:
            changed[at:at] = rng.randbytes(length)
        case 4:
            repeats = min(rng.choice(_REPEATS), _MAX_BYTES // length)
            changed[at:at] = changed[at : at + length] * repeats
        case 5:
            del changed[at:]
        case 6:
            changed[at : at + length] = rng.choice((b"\0", b"\xff")) * length
        case 7:
            changed += rng.randbytes(length)
        case _:
            _set(changed, at, rng.choice((1, 2, 4, 8)), "little" if rng.random() < 0.5 else "big", rng)
    return bytes(changed)


def _set(data: bytearray, at: int, size: int, order: ByteOrder, rng: Random) -> None:
    """Another number in the field at ``at``, if it is there."""
    field = data[at : at + size]
    data[at : at + size] = number(rng, size, int.from_bytes(field, order)).to_bytes(size, order)


# PNG ------------------------------------------------------------------------------------------------------------------

_CHUNKS: Final = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"gAMA", b"sBIT")
_PNG_FIELDS: Final = ((0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1))
"""Of the header: place and size of width, height, bits, colour, compression, filter, interlace."""


def edit_png(data: bytes, rng: Random) -> bytes:
    """Edits of chunks and of unpacked pixel data; checksums are made right again."""
    chunks, at = [], len(PNG)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : end]))
        at = end + 4
    if not chunks:
        return scramble(data, rng)
    which = rng.randrange(len(chunks))
    kind, content = chunks[which]
    match rng.randrange(8):
        case 0 | 1:
            header = bytearray(chunks[0][1])
            _set(header, *rng.choice(_PNG_FIELDS), "big", rng)
            chunks[0] = (chunks[0][0], bytes(header))
        case 2:
            chunks[which:which] = [(kind, content)] * min(rng.choice(_REPEATS), _MAX_BYTES // (len(content) + 12))
        case 3:
            del chunks[which]
        case 4:
            other = rng.randrange(len(chunks))
            chunks[which], chunks[other] = chunks[other], chunks[which]
        case 5:
            chunks[which] = (rng.choice(_CHUNKS), content)
        case 6:
            chunks.insert(which, (rng.choice(_CHUNKS), rng.randbytes(rng.choice((0, 1, 3, 8, 26, 768)))))
        case _:
            if kind == b"IDAT":
                content = _edit_packed(content, rng)
            chunks[which] = (kind, scramble(content, rng) if kind != b"IDAT" else content)
    return PNG + b"".join(chunk(kind, content) for kind, content in chunks)


def _edit_packed(packed: bytes, rng: Random) -> bytes:
    """Deflated data that still unpack, to something else."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, _MAX_BYTES)
    except zlib.error:
        return scramble(packed, rng)
    return zlib.compress(scramble(raw, rng), rng.choice((0, 1, 9)))


# JPEG -----------------------------------------------------------------------------------------------------------------

_FRAMES: Final = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_SCAN: Final = 0xDA
_MARKERS: Final = (*range(0xC0, 0xD0), *range(0xD8, 0xF0), 0xFE, 0x01, 0xD3)
_JPEG_FIELDS: Final = ((0, 1), (1, 2), (3, 2), (5, 1), (6, 1), (7, 1), (8, 1))
"""Of a frame: place and size of precision, height, width, components, and of the first: id, sampling, table."""

Segment: TypeAlias = tuple[int, bytes, bytes]
"""Marker, content, and the coded pixels that follow a scan's header."""


def edit_jpeg(data: bytes, rng: Random) -> bytes:
    """Edits of segments, of a frame's header, and of the coded pixels between markers."""
    segments = split_jpeg(data)
    if not segments:
        return scramble(data, rng)
    which = rng.randrange(len(segments))
    marker, content, coded = segments[which]
    match rng.randrange(9):
        case 0 | 1:
            frames = [place for place, segment in enumerate(segments) if segment[0] in _FRAMES]
            if frames:
                place = rng.choice(frames)
                header = bytearray(segments[place][1])
                _set(header, *rng.choice(_JPEG_FIELDS), "big", rng)
                segments[place] = (rng.choice((segments[place][0], *_FRAMES)), bytes(header), b"")
        case 2:
            repeats = min(rng.choice(_REPEATS), _MAX_BYTES // (len(content) + len(coded) + 4))
            segments[which:which] = [segments[which]] * repeats
        case 3:
            del segments[which]
        case 4:
            other = rng.randrange(len(segments))
            segments[which], segments[other] = segments[other], segments[which]
        case 5:
            segments[which] = (rng.choice(_MARKERS), content, coded)
        case 6:
            segments.insert(which, (rng.choice(_MARKERS), rng.randbytes(rng.choice((0, 1, 2, 17, 64, 200))), b""))
        case 7:
            segments[which] = (marker, scramble(content, rng), coded)
        case _:
            scans = [place for place, segment in enumerate(segments) if segment[2]]
            if scans:
                place = rng.choice(scans)
                marker, content, coded = segments[place]
                segments[place] = (marker, content, scramble(coded, rng))
    return join_jpeg(segments) + rng.choice((b"\xff\xd9",) * 9 + (b"",))


def join_jpeg(segments: Sequence[Segment]) -> bytes:
    """A file of these segments, without an end of image."""
    return b"\xff\xd8" + b"".join(
        struct.pack(">BBH", 0xFF, marker, (len(content) + 2) % 65536) + content + coded
        for marker, content, coded in segments
    )


def split_jpeg(data: bytes) -> list[Segment]:
    """All segments up to the end of the first picture."""
    found: list[Segment] = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        after = end
        if marker == _SCAN:
            after = _next_marker(data, end)
        found.append((marker, data[at + 4 : end], data[end:after]))
        at = max(after, at + 4)
    return found


def _next_marker(data: bytes, at: int) -> int:
    """Where coded pixels end: at a marker that is neither a stuffed byte nor a restart."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    return len(data)


# TIFF -----------------------------------------------------------------------------------------------------------------

_TAGS: Final = (
    *(254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 317, 320, 322, 323, 324, 325),
    *(330, 338, 339, 347, 512, 513, 530, 532, 700, 34665, 34675),
)


def edit_tiff(data: bytes, rng: Random) -> bytes:
    """Edits of the first directory: its entries, what they point at, and its links."""
    order: ByteOrder = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\0", b"\0+")
    size, head, step = (8, 8, 20) if big else (4, 2, 12)
    changed = bytearray(data)
    start = int.from_bytes(data[8:16] if big else data[4:8], order)
    count = min(int.from_bytes(data[start : start + head], order), max(0, len(data) - start) // step)
    if not count:
        return scramble(data, rng)
    entries = [start + head + step * place for place in range(count)]
    entry, other = rng.choice(entries), rng.choice(entries)
    match rng.randrange(10):
        case 0:
            changed[entry : entry + 2] = rng.choice(_TAGS).to_bytes(2, order)
        case 1:
            _set(changed, entry + 2, 2, order, rng)
        case 2:
            _set(changed, entry + 4, size, order, rng)
        case 3 | 4 | 5:
            _set(changed, entry + 4 + size, rng.choice((2, size)), order, rng)
        case 6:
            changed[entry : entry + step] = changed[other : other + step]
        case 7:
            # The numbers that an entry points at: places and lengths of strips and tiles, bits a sample.
            pointed = int.from_bytes(data[entry + 4 + size : entry + 4 + 2 * size], order)
            if pointed + 8 <= len(data):
                _set(changed, pointed + rng.choice((0, 2, 4)), rng.choice((2, 4)), order, rng)
        case 8:
            link = start + head + step * count
            changed[link : link + size] = rng.choice((start, 8, len(data) - 2, entry)).to_bytes(size, order)
        case _:
            _set(changed, rng.choice((0, 2, 4, start)), rng.choice((2, size)), order, rng)
    return bytes(changed)


# BMP ------------------------------------------------------------------------------------------------------------------

_BMP_FIELDS: Final = (
    *((2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4), (34, 4), (46, 4), (50, 4)),
    *((54, 4), (58, 4), (62, 4), (66, 4), (18, 2), (20, 2), (22, 2), (24, 2)),
)


def edit_bmp(data: bytes, rng: Random) -> bytes:
    """Edits of the header's fields, and of what follows it."""
    if rng.random() < 0.3:
        return data[:54] + scramble(data[54:], rng)
    changed = bytearray(data)
    _set(changed, *rng.choice(_BMP_FIELDS), "little", rng)
    return bytes(changed)


EDITORS: dict[tuple[int, bytes], Editor] = {
    (0, PNG): edit_png,
    (0, b"\xff\xd8"): edit_jpeg,
    (0, b"II"): edit_tiff,
    (0, b"MM"): edit_tiff,
    (0, b"BM"): edit_bmp,
}
"""By where a format's mark stands, and the mark; ``dicoms`` adds its own."""


def editor_of(data: bytes) -> Editor:
    """The editor of a file's format, ``scramble`` for an unknown one."""
    return next((editor for (at, mark), editor in EDITORS.items() if data.startswith(mark, at)), scramble)
