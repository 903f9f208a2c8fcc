"""Decodes Pixel Data to samples, by transfer syntax (PS3.5 section 10 and annex A).

imagecodecs decodes all compressed pixels except 8-bit JPEG, where it does not report damage. Its libraries
(libjpeg-turbo, CharLS, OpenJPEG) are free of copyleft, are fuzzed by their makers, and release the interpreter lock.
GDCM, the other library with lossless JPEG, was tried first, but crashed the process on some files.
"""

import struct
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from app.errors import UnreadableImage, UnsupportedDicom
from app.intake.dicom.codestreams import Frame, read_jpeg2000_frame, read_jpeg_frame
from app.intake.dicom.deep_jpeg import decode_12_bits, decode_lossless
from app.intake.dicom.jp2 import bare_codestream
from app.intake.dicom.jpeg2000 import decode_jpeg2000
from app.intake.dicom.parsing import UNDEFINED, Parsed
from app.intake.dicom.pixels import PixelModule
from app.intake.jpeg import decode_jpeg

Samples: TypeAlias = NDArray[np.uint8 | np.uint16]
_Decoder: TypeAlias = Callable[[Parsed, PixelModule], tuple[Samples, int]]

_BASELINE, _EXTENDED, _LOSSLESS, _JPEG_LS = 0xC0, 0xC1, 0xC3, 0xF7
_LOSSY: Final = frozenset(
    {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K}
)
_RLE_HEADER: Final = 64
MAX_FRAGMENTS: Final = 65_536
_ITEM, _DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_CUT_OFF: Final = "The pixel data are cut off before their end"


def decode_samples(parsed: Parsed, module: PixelModule) -> tuple[Samples, int]:
    """Decodes the samples [H, W] to unsigned integers as they are allocated, and says how many bits each can have.

    Raises:
        UnsupportedDicom: an unsupported transfer syntax.
        UnreadableImage: missing, cut off, damaged, or not of the size that the header declares.
        imagecodecs' errors: see ``damage.DAMAGE``.
    """
    decoder = _DECODERS.get(parsed.syntax)
    if decoder is None:
        name = uid.UID(parsed.syntax).name if uid.UID(parsed.syntax).type == "Transfer Syntax" else "unknown"
        raise UnsupportedDicom(f"Its transfer syntax is not read: {name}")
    return decoder(parsed, module)


def join_fragments(pixels: memoryview) -> bytes:
    """All fragments after the offset table, joined: with one frame they are its codestream.

    Args:
        pixels: from the first item on; what follows the sequence's end is ignored.

    Raises:
        UnreadableImage: damaged or cut off, implausibly many fragments, or none after the offset table.
    """
    fragments: list[memoryview] = []
    place = 0
    for _ in range(MAX_FRAGMENTS):
        if place + 8 > len(pixels):
            raise UnreadableImage(_CUT_OFF)
        group, element, length = struct.unpack_from("<HHL", pixels, place)
        if (group, element) == _DELIMITER:
            if len(fragments) < 2:
                raise UnreadableImage("The pixel data are empty")
            return b"".join(fragments[1:])
        if (group, element) != _ITEM:
            raise UnreadableImage("The pixel data are damaged: they are not a sequence of fragments")
        place += 8 + length
        if place > len(pixels):
            raise UnreadableImage(_CUT_OFF)
        fragments.append(pixels[place - length : place])
    raise UnreadableImage(f"The pixel data are in more than {MAX_FRAGMENTS} fragments")


def _read_native(parsed: Parsed, module: PixelModule) -> tuple[Samples, int]:
    size = module.rows * module.columns * module.allocated // 8
    if parsed.length == UNDEFINED:
        raise UnreadableImage("The pixel data are encapsulated, but the transfer syntax says that they are not")
    pixels = parsed.pixels
    if min(parsed.length, len(pixels)) < size:
        raise UnreadableImage(_CUT_OFF)
    is_big = parsed.syntax == uid.ExplicitVRBigEndian
    if module.allocated == 16:
        deep = np.frombuffer(pixels[:size], ">u2" if is_big else "<u2")
        return _shaped(deep.astype(np.uint16, copy=False), module), 16
    samples = np.frombuffer(pixels[: size + size % 2], np.uint8)
    if is_big and parsed.word:
        if samples.size % 2:
            raise UnreadableImage(_CUT_OFF)
        # Bytes of a word are swapped whatever they hold (PS3.5 A.3).
        samples = samples.reshape(-1, 2)[:, ::-1].ravel()
    return _shaped(samples[:size], module), 8


def _read_rle(parsed: Parsed, module: PixelModule) -> tuple[Samples, int]:
    """Decodes run-length segments, one for each byte of a sample, highest byte first (PS3.5 annex G)."""
    data, count, cells = _codestream(parsed), module.allocated // 8, module.rows * module.columns
    if len(data) < _RLE_HEADER:
        raise UnreadableImage(_CUT_OFF)
    segments, *starts = (int(value) for value in np.frombuffer(data[:_RLE_HEADER], "<u4"))
    limits = [*starts[:count], len(data)]
    if segments != count or limits[0] < _RLE_HEADER or limits != sorted(limits):
        raise UnreadableImage("The run-length segments are damaged, or other than the header says")
    planes = []
    for start, end in pairwise(limits):
        # The padding at the end may decode as one more run.
        plane = imagecodecs.packbits_decode(data[start:end], out=cells + 128)
        if len(plane) < cells:
            raise UnreadableImage(_CUT_OFF)
        planes.append(np.frombuffer(plane, np.uint8, cells))
    if count == 1:
        return _shaped(planes[0], module), 8
    deep = np.stack(planes[::-1], axis=-1).view("<u2")
    return _shaped(deep.astype(np.uint16, copy=False), module), 16


def _read_jpeg(*processes: int) -> _Decoder:
    """A decoder for the JPEG coding ``processes`` with these frame markers."""

    def read(parsed: Parsed, module: PixelModule) -> tuple[Samples, int]:
        data = _codestream(parsed)
        frame = read_jpeg_frame(data)
        if frame.process not in processes:
            raise UnreadableImage("The compressed pixel data are of another kind than the transfer syntax says")
        _check_frame(frame, module)
        return _decoded(_jpeg_samples(data, frame), module, parsed.syntax), frame.precision

    return read


def _jpeg_samples(data: bytes, frame: Frame) -> NDArray[Any]:
    """Decodes a JPEG of any kind to uint8 or uint16 [H, W]; raises where it is damaged."""
    if frame.process == _JPEG_LS:
        return imagecodecs.jpegls_decode(data)
    if frame.process == _LOSSLESS:
        return decode_lossless(data, frame)
    if frame.precision > 8:
        return decode_12_bits(data, frame)
    return decode_jpeg(data, (frame.height, frame.width, 1))[..., 0]


def _read_jpeg2000(parsed: Parsed, module: PixelModule) -> tuple[Samples, int]:
    data = bare_codestream(_codestream(parsed))
    frame = read_jpeg2000_frame(data)
    _check_frame(frame, module)
    return _decoded(decode_jpeg2000(data, frame), module, parsed.syntax), frame.precision


def _codestream(parsed: Parsed) -> bytes:
    if parsed.length != UNDEFINED:
        raise UnreadableImage("The pixel data are not encapsulated, but the transfer syntax says that they are")
    return join_fragments(parsed.pixels)


def _check_frame(frame: Frame, module: PixelModule) -> None:
    """Refuses a codestream with another size than the header declares; raises UnreadableImage."""
    if (frame.width, frame.height, frame.components) != (module.columns, module.rows, 1):
        raise UnreadableImage("The compressed picture is of another size or kind than the header says")
    if not 2 <= frame.precision <= 16:
        raise UnreadableImage("The compressed picture has samples of other than 2 to 16 bits")


def _decoded(samples: NDArray[Any], module: PixelModule, syntax: str) -> Samples:
    """The samples with their bits as unsigned integers; raises UnreadableImage for an undeclared shape or type."""
    if samples.shape != (module.rows, module.columns) or samples.dtype.kind not in "ui" or samples.itemsize > 2:
        raise UnreadableImage("The compressed picture is of another size or kind than the header says")
    if syntax in _LOSSY and (samples.dtype.kind == "i") == module.signed:
        # A codestream may have more bits than are stored: a lossy value above the largest must not wrap around.
        half = 1 << module.stored - 1
        lowest, highest = (-half, half - 1) if module.signed else (0, 2 * half - 1)
        if highest < np.iinfo(samples.dtype).max:
            samples = np.clip(samples, lowest, highest)
    return samples.view(np.uint8) if samples.itemsize == 1 else samples.view(np.uint16)


def _shaped(samples: Samples, module: PixelModule) -> Samples:
    return samples.reshape(module.rows, module.columns)


_DECODERS: Final[Mapping[str, _Decoder]] = {
    uid.ImplicitVRLittleEndian: _read_native,
    uid.ExplicitVRLittleEndian: _read_native,
    uid.DeflatedExplicitVRLittleEndian: _read_native,
    uid.ExplicitVRBigEndian: _read_native,
    uid.RLELossless: _read_rle,
    uid.JPEGBaseline8Bit: _read_jpeg(_BASELINE),
    uid.JPEGExtended12Bit: _read_jpeg(_BASELINE, _EXTENDED),
    uid.JPEGLossless: _read_jpeg(_LOSSLESS),
    uid.JPEGLosslessSV1: _read_jpeg(_LOSSLESS),
    uid.JPEGLSLossless: _read_jpeg(_JPEG_LS),
    uid.JPEGLSNearLossless: _read_jpeg(_JPEG_LS),
    uid.JPEG2000Lossless: _read_jpeg2000,
    uid.JPEG2000: _read_jpeg2000,
    uid.HTJ2KLossless: _read_jpeg2000,
    uid.HTJ2KLosslessRPCL: _read_jpeg2000,
    uid.HTJ2K: _read_jpeg2000,
}
