"""Decodes JPEG 2000, and raises an error where it is damaged.

A code block decodes without an error whatever bytes it holds. OpenJPEG checks that decoding ends where the block's data
end only if the codestream declares predictable termination (T.800 D.4.2), and then warns. So the codestream is changed
to declare it. This changes no sample, and blocks of encoders without it end within a few bytes of that place too.
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
"""OpenJPEG's verbosity: errors and warnings."""
_ENDING: Final = re.compile(r"JPEG2K warning: PTERM check failure: (\d+)")
_MAX_BYTES: Final = 8
"""Tolerated bytes too many or too few at a block's end: encoders that truncate blocks are off by up to 4."""
_PREDICTABLE, _OTHER_CODING = 0x10, 0x41
"""Bits of the code blocks' style: predictable termination, and other coders (bypass, high throughput)."""
_MAX_MESSAGES: Final = 1 << 16
"""Each holds the interpreter lock for microseconds."""


class _Ear(logging.Filter):
    """Keeps OpenJPEG's messages out of the log, and remembers the worst of them for each thread."""

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
    """Decodes a JPEG 2000 codestream.

    Args:
        data: a codestream that ``read_jpeg2000_frame`` has accepted.
        frame: its frame.

    Returns:
        integers [H, W] or [H, W, C], of 8, 16 or 32 bits.

    Raises:
        UnreadableImage: code blocks that do not end where their data end.
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
