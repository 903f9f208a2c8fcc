"""Parses the bytes of a DICOM file into its data set and its pixel data (PS3.5 section 7, PS3.10 section 7)."""

import zlib
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from app.errors import ImageTooLarge, UnreadableImage, UnsupportedDicom
from app.intake.dicom.damage import DAMAGE
from app.intake.dicom.mending import mend
from app.intake.guards import MeteredFile

PREAMBLE: Final = 128
MARK: Final = b"DICM"
UNDEFINED: Final = 0xFFFFFFFF
HEADER_READS: Final = 10_000
HEADER_BYTES: Final = 16 * 1024 * 1024
_PIECE: Final = 64 * 1024
_TAKEN_APART: Final = frozenset({0x00020010, 0x00080005})
_MAX_TAKEN_APART: Final = 1024
_FLOAT_PIXELS, _DOUBLE_PIXELS, _PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of a DICOM file.

    Attributes:
        dataset: every element before the pixels, with ``file_meta``, not yet converted.
        syntax: UID of the transfer syntax.
        pixels: what follows the head of Pixel Data (7FE0,0010), to the file's end; empty without that element.
        length: of Pixel Data, bytes; ``UNDEFINED`` where they are encapsulated.
        word: whether its VR is OW, as it also is with implicit VR.
    """

    dataset: Dataset
    syntax: str
    pixels: memoryview
    length: int
    word: bool


def parse(content: bytes, max_inflated: int, mending: bool = False) -> Parsed:
    """Parses ``content``, a whole file, with or without preamble and file meta information.

    Args:
        max_inflated: bytes that a deflated data set may have.
        mending: whether to replace invalid value representations at once, not only after parsing has failed.

    Raises:
        ImageTooLarge: a deflated data set larger than that.
        UnreadableImage: a deflated data set that is damaged or cut off.
        UnsupportedDicom: pixels of floating point.
        pydicom's errors: see ``damage.DAMAGE``.
    """
    opened = _open(content, max_inflated)
    if mending:
        _mend(opened)
        return _read(opened, content)
    try:
        parsed = _read(opened, content)
    except DAMAGE:
        if not _mend(opened):
            raise
        return _read(opened, content)
    if not parsed.pixels and _mend(opened):
        return _read(opened, content)
    return parsed


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file whose group 2 has been read.

    Attributes:
        file: the file; for a deflated data set, the inflated data set alone.
        start: where the data set begins in ``file``.
    """

    file: MeteredFile
    start: int
    meta: Dataset
    syntax: str


def _open(content: bytes, max_inflated: int) -> _Opened:
    start = PREAMBLE + len(MARK) if content[PREAMBLE : PREAMBLE + len(MARK)] == MARK else 0
    file = MeteredFile(content)
    file.allow(HEADER_READS, HEADER_BYTES)
    file.seek(start)
    meta = _read_meta(file)
    start = file.tell()
    syntax = str(meta.get("TransferSyntaxUID", "")).strip() or _guess_syntax(content[start : start + 6])
    if syntax == DeflatedExplicitVRLittleEndian:
        return _Opened(_Deflated(content, start, max_inflated), 0, meta, syntax)
    return _Opened(file, start, meta, syntax)


def _mend(opened: _Opened) -> bool:
    """Replaces invalid representations in a file, behind which elements were lost; returns whether there was one."""
    if opened.syntax == ImplicitVRLittleEndian:
        return False
    opened.file.allow(HEADER_READS, HEADER_BYTES)
    is_mended = mend(opened.file, opened.start, opened.syntax == ExplicitVRBigEndian)
    opened.file.allow(HEADER_READS, HEADER_BYTES)
    opened.file.seek(opened.start)
    return is_mended


def _read(opened: _Opened, content: bytes) -> Parsed:
    """The parts of an ``opened`` file, whose bytes are ``content``; raises as ``parse``."""
    file, syntax = opened.file, opened.syntax
    found: list[tuple[int, str | None, int, int]] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        number = int(tag)
        _check_length(number, length)
        if number < _FLOAT_PIXELS:
            return False
        found.append((number, vr, length, file.tell()))
        return True

    dataset = read_dataset(file, syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian, stop_when=at_pixels)
    opened.meta.TransferSyntaxUID = syntax
    dataset.file_meta = FileMetaDataset(opened.meta)
    # The last call counts: for the first element pydicom also calls before it has read the element's length.
    tag, vr, length, place = found[-1] if found else (0, None, 0, 0)
    if tag in (_FLOAT_PIXELS, _DOUBLE_PIXELS):
        raise UnsupportedDicom("Its pixels are of floating point; integers of 8 to 16 bits are read")
    if isinstance(file, _Deflated) and tag == _PIXELS:
        file.inflate(place + length)
        content = file.getvalue()
    # With any other VR the pixels begin elsewhere.
    is_there = tag == _PIXELS and (dataset.original_encoding[0] or vr in EXPLICIT_VR_LENGTH_32)
    pixels = memoryview(content)[place:] if is_there else memoryview(b"")
    return Parsed(dataset, syntax, pixels, length, vr != "OB")


def _read_meta(file: MeteredFile) -> Dataset:
    """Group 2, empty where the file has none; the file is left at the data set."""
    start = file.tell()
    head = file.read(2)
    file.seek(start)
    if head != b"\x02\x00":
        return Dataset()

    def at_data_set(tag: BaseTag, vr: str | None, length: int) -> bool:
        is_there = int(tag) >> 16 != 2
        if not is_there:
            _check_length(int(tag), length)
        return is_there

    return read_dataset(file, False, True, stop_when=at_data_set)


def _check_length(tag: int, length: int) -> None:
    """Refuses an overlong transfer syntax or character set, which pydicom would split as soon as it meets it."""
    if length > _MAX_TAKEN_APART and tag in _TAKEN_APART:
        raise UnreadableImage("The header has a transfer syntax or character set of implausible length")


def _guess_syntax(head: bytes) -> str:
    """The transfer syntax of a data set without file meta information, by its first bytes."""
    if head[:1] == b"\x00":
        return str(ExplicitVRBigEndian)
    return str(ExplicitVRLittleEndian if head[4:6].isalpha() else ImplicitVRLittleEndian)


class _Deflated(MeteredFile):
    """A deflated data set (PS3.5 A.5), inflated only as far as it is read, as anything may follow its pixels."""

    def __init__(self, content: bytes, start: int, max_bytes: int) -> None:
        super().__init__(b"")
        self.allow(HEADER_READS, HEADER_BYTES)
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = memoryview(content)[start:]
        self._taken = self._inflated = 0
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads as MeteredFile does; raises UnreadableImage where the data set is cut off."""
        end = HEADER_BYTES if size is None or size < 0 else self.tell() + size
        if end > self._inflated:
            self.inflate(min(end, HEADER_BYTES))
        return super().read(size)

    def inflate(self, count: int) -> None:
        """Inflates until the first ``count`` bytes are there or the data set ends.

        Raises:
            ImageTooLarge: ``count`` exceeds the limit.
            UnreadableImage: it is cut off.
        """
        if count > self._max_bytes:
            raise ImageTooLarge(f"The deflated data set has more than {self._max_bytes} bytes")
        place = self.tell()
        self.seek(self._inflated)
        while self._inflated < count and not self._unpacker.eof:
            # In small pieces, as zlib copies the unused rest of each.
            piece = self._packed[self._taken : self._taken + _PIECE]
            made = self._unpacker.decompress(piece, max(count - self._inflated, _PIECE))
            if not piece and not made:
                raise UnreadableImage("The deflated data set is cut off before its end")
            self._taken += len(piece) - len(self._unpacker.unconsumed_tail)
            self._inflated += self.write(made)
        self.seek(place)
