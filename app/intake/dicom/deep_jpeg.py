"""Decodes lossless JPEG and 12-bit JPEG, and raises an error where it is damaged.

imagecodecs drops the warnings of libjpeg, and simplejpeg, which keeps them, decodes only 8 bits. So damage is found by
asking libjpeg for more rows than there are, as it fills everything without data with mid-gray. Where the coded data end
with the picture, the extra rows are mid-gray except for their first piece. Where the data end earlier, the extra rows
are all mid-gray; where they go on, more than the first piece is not.
"""

from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.errors import UnreadableImage
from app.intake.dicom.codestreams import Frame

_DAMAGED: Final = "The compressed pixel data are damaged or cut off"
_BLOCK: Final = 8
_MORE: Final = b"\x5a" * 64
"""Appended to the coded data: this changes the picture only where they end too early."""


def decode_lossless(data: bytes, frame: Frame) -> NDArray[np.uint8 | np.uint16]:
    """Decodes a lossless JPEG with one component.

    Args:
        data: a codestream that ``read_jpeg_frame`` has accepted.
        frame: its frame.

    Returns:
        uint8 [H, W] up to 8 bits, else uint16.

    Raises:
        UnreadableImage: samples beyond the precision, coded data that end before the picture or go on after it.
    """
    # Decoded as if of 16 bits, so that no sample is clipped; all samples are then off by the difference in mid-gray.
    samples = _longer(data, frame, 2, 16)
    picture, (first, second) = samples[: frame.height], samples[frame.height :]
    if (second != 1 << 15).any() or _goes_on(picture[-1], first, data, frame):
        raise UnreadableImage(_DAMAGED)
    if (first == 1 << 15).all():
        _check_end(data, frame, samples, 16)
    if frame.precision == 16:
        return picture
    picture -= np.uint16((1 << 15) - (1 << frame.precision - 1))
    if int(picture.max()) >> frame.precision:
        raise UnreadableImage(_DAMAGED)
    return picture.astype(np.uint8) if frame.precision <= 8 else picture


def decode_12_bits(data: bytes, frame: Frame) -> NDArray[np.uint16]:
    """Decodes a lossy 12-bit JPEG with one component.

    Args:
        data: a codestream that ``read_jpeg_frame`` has accepted.
        frame: its frame.

    Returns:
        uint16 [H, W].

    Raises:
        UnreadableImage: coded data that end before the picture or go on after it.
    """
    whole = -frame.height % _BLOCK
    samples = _longer(data, frame, whole + 2 * _BLOCK, frame.precision)
    blocks, gray = samples[frame.height + whole :], 1 << frame.precision - 1
    if (blocks[_BLOCK:] != gray).any() or (blocks[:, _BLOCK:] != gray).any():
        raise UnreadableImage(_DAMAGED)
    if (blocks[:, :_BLOCK] == gray).all():
        _check_end(data, frame, samples, frame.precision)
    return samples[: frame.height]


def _longer(data: bytes, frame: Frame, rows: int, precision: int) -> NDArray[np.uint16]:
    """Decodes ``data`` to uint16 [H + rows, W], with another height and precision in its header."""
    place = frame.place
    told = bytes((precision,)) + (frame.height + rows).to_bytes(2, "big")
    samples: NDArray[np.uint16] = imagecodecs.jpeg8_decode(data[:place] + told + data[place + 3 :])
    if samples.shape != (frame.height + rows, frame.width) or samples.dtype != np.uint16:
        raise UnreadableImage(_DAMAGED)
    return samples


def _goes_on(last: NDArray[np.uint16], beyond: NDArray[np.uint16], data: bytes, frame: Frame) -> bool:
    """Whether the row after the last one has data beyond its first sample.

    The first sample comes from the bits that pad the last byte. Without further data, zeros are read for all others,
    so they all differ from their prediction by the same amount.
    """
    predictor, shift = data[frame.coded - 3], data[frame.coded - 1] & 15
    if shift:
        return False
    left, above, before = beyond[:-1].astype(int), last[1:].astype(int), last[:-1].astype(int)
    predicted = {
        2: above,
        3: before,
        4: left + above - before,
        5: left + (above - before >> 1),
        6: above + (left - before >> 1),
        7: left + above >> 1,
    }
    # After a restart, only the sample to the left is used for prediction.
    rows = (left, predicted.get(predictor, left))
    differences = [(beyond[1:] - row) & 0xFFFF for row in rows]
    return all(bool((row != row[0]).any()) for row in differences)


def _check_end(data: bytes, frame: Frame, samples: NDArray[np.uint16], precision: int) -> None:
    """Refuses coded data that end before the picture. Called where the extra rows suggest that, maybe by chance.

    Raises:
        UnreadableImage: the data end too early.
    """
    end = data.rindex(b"\xff\xd9")
    other = _longer(data[:end] + _MORE + data[end:], frame, len(samples) - frame.height, precision)
    if (other[: frame.height] != samples[: frame.height]).any():
        raise UnreadableImage(_DAMAGED)
