"""Damaged files: what pydicom and imagecodecs raise for them, and pydicom's settings for a process that meets them."""

import logging
import struct
import warnings
import zlib
from typing import Final

from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError

DAMAGE: Final = (
    OSError,  # MeteredFile's allowance
    EOFError,  # data that end inside a sequence or an item
    InvalidDicomError,
    BytesLengthException,  # values that are not whole numbers of their VR
    ValueError,  # values that are no number, date or UID; undecodable text
    TypeError,  # values of another type than their VR's
    KeyError,  # unknown VRs and tags
    IndexError,
    AttributeError,  # elements that should have been there, or should have been sequences
    NotImplementedError,  # VRs that pydicom does not convert
    LookupError,  # character sets
    OverflowError,
    ZeroDivisionError,
    MemoryError,  # a declared size that cannot be allocated
    RuntimeError,  # imagecodecs' errors of every codec; RecursionError of nested sequences
    AssertionError,
    struct.error,
    zlib.error,
)
"""Found by fuzzing and by reading their code."""


def configure() -> None:
    """Sets pydicom up for a process that reads what anybody may send; to be called before the first object is read.

    Radiographs in archives break the rules for values in many harmless ways, and have to be read nevertheless. Messages
    can quote values of the file, which may be the patient's. The filter of warnings holds for the process, as
    ``warnings.catch_warnings`` is not thread-safe.
    """
    config.settings.reading_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(pydicom|app\.intake)\b")
