"""JPEG 2000 → samples, and an error where it is damaged.

A code block decodes to something whatever it holds. OpenJPEG compares what it has used of one with what there is only
where the codestream says that its blocks end in a predictable way (T.800 D.4.2), and then warns. Saying so changes no
sample, and blocks of other encoders end within a few bytes of it too.
"""

import logging
import re
import threading
from typing import Any, Final

import imagecodecs
from numpy.typing import NDArray

from app.errors import UnreadableImage
from app.intake.dicom.codestreams import Frame

_LOGGER: Final = logging.getLogger("imagecodecs")
_WARNINGS: Final = 2
"""How much OpenJPEG is to say: errors and warnings."""
_ENDING: Final = re.compile(r"JPEG2K warning: PTERM check failure: (\d+)")
_MAX_BYTES: Final = 8
"""Too many or too few at a block's end: encoders that cut a block at a size leave or take up to 4."""
_PREDICTABLE, _OTHER_CODING = 0x10, 0x41
"""Bits of the code blocks' style: the ending, and coding without the arithmetic coder (bypass, high throughput)."""
_MAX_MESSAGES: Final = 1 << 16
"""Each takes microseconds of interpreter lock."""


class _Ear(logging.Filter):
    """Keeps what OpenJPEG says from the log, and the worst of it for the thread that it says it in."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if found := _ENDING.match(message):
            self.heard.bytes = max(getattr(self.heard, "bytes", 0), int(found[1]))
        return not message.startswith("JPEG2K")


_EAR: Final = _Ear()
_LOGGER.addFilter(_EAR)
_LOGGER.setLevel(logging.WARNING)


def decode_jpeg2000(data: bytes, frame: Frame) -> NDArray[Any]:
    """The samples of a JPEG 2000 codestream.

    Args:
        data: as ``read_jpeg2000_frame`` has found it, and so ``frame``.

    Returns:
        integers [H, W] or [H, W, C], of 8, 16 or 32 bits.

    Raises:
        UnreadableImage: code blocks that end elsewhere than their coded data.
        imagecodecs.Jpeg2kError: damaged otherwise, or cut off.
    """
    style = data[frame.place]
    if style & _OTHER_CODING or frame.pieces > _MAX_MESSAGES:
        return imagecodecs.jpeg2k_decode(data)
    told = data[: frame.place] + bytes((style | _PREDICTABLE,)) + data[frame.place + 1 :]
    _EAR.heard.bytes = 0
    samples = imagecodecs.jpeg2k_decode(told, verbose=_WARNINGS)
    if _EAR.heard.bytes > _MAX_BYTES:
        raise UnreadableImage("The compressed pixel data are damaged")
    return samples
