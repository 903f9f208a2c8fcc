"""What crosses from one of a peer's processes to another, made small: frameworks copy it several times on its way."""

import pickle
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(crossing: object) -> bytes:
    """Pickled, with a bit for each pixel of a mask instead of a byte."""
    buffer = BytesIO()
    _Packer(buffer, pickle.HIGHEST_PROTOCOL).dump(crossing)
    return buffer.getvalue()


def unpack(packed: bytes | bytearray | memoryview) -> Any:
    """What ``pack`` was given."""
    return pickle.loads(packed)  # noqa: S301 - it comes from a process of our own


class _Packer(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        if isinstance(value, np.ndarray) and value.dtype == np.bool_:
            return _mask, (np.packbits(value), value.shape)
        return NotImplemented


def _mask(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=int(np.prod(shape))).view(np.bool_).reshape(shape)
