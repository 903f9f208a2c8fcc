"""What pydicom and imagecodecs raise for damaged files, and how they are kept from telling of them."""

import logging
import struct
import warnings
import zlib
from typing import Final

from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError

# By fuzzing and by reading them.
DAMAGE: Final = (
    OSError,  # MeteredFile's allowance
    EOFError,  # data that end inside a sequence or an item
    InvalidDicomError,
    BytesLengthException,  # values that are not whole numbers of their VR
    ValueError,  # values that are no number, date or UID; undecodable text
    TypeError,  # values of another type than their VR's
    KeyError,  # VRs and tags that nobody knows
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

# All of them name values of the file, which may be the patient's; a filter set once also spares every thread
# the race of warnings.catch_warnings.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"(pydicom|app\.intake)\b")
# Radiographs in archives break the rules for values in many harmless ways, and are read all the same.
config.settings.reading_validation_mode = config.IGNORE
