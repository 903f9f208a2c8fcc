"""Finds the radiographs in a folder by their content."""

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 132
_SIGNATURES: Final = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"II*\x00",  # TIFF, little and big endian, and BigTIFF
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
)
# DICOM without its preamble (PS3.10, 7.1) starts with an element of group 0002 or 0008. With explicit VR, two capital
# letters follow the tag; with implicit VR a length, whose upper half is 0 for every element that can come first.
_BARE_DICOM: Final = re.compile(
    rb"[\x02\x08]\x00.\x00(?:[A-Z]{2}|..\x00\x00)|\x00[\x02\x08]\x00.(?:[A-Z]{2}|\x00\x00..)", re.DOTALL
)
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def list_files(
    folder: Path, left_out: Collection[Path] = (), on_error: Callable[[OSError], None] | None = None
) -> list[str]:
    """Every file under ``folder``, relative to it, with ``/`` between names, sorted.

    Links to folders are not followed.

    Args:
        folder: resolved.
        left_out: files and folders to skip, resolved.
        on_error: called for each folder that cannot be read; None: such a folder is skipped silently.
    """
    kept_out = frozenset(left_out)
    found = []
    for place, folders, names in os.walk(folder, onerror=on_error):
        here = Path(place)
        folders[:] = [name for name in folders if here / name not in kept_out]
        found += [(here / name).relative_to(folder).as_posix() for name in names if here / name not in kept_out]
    return sorted(found)


class NotSent(Exception):
    """A file that is not sent, as the service would refuse it or it cannot be read.

    Attributes:
        code: of the problem that the service would answer, or ``unreadable_file``.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def read_radiograph(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        NotSent: it cannot be read, is empty, or by its first bytes has no format that the service reads.
    """
    try:
        if not path.is_file():
            # Reading a pipe would wait for ever; a socket or device is no picture.
            raise NotSent("unsupported_format", "not sent: no regular file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            rest = file.read() if is_radiograph(head) else b""
    except OSError as error:
        raise NotSent("unreadable_file", f"not sent: {error.strerror or type(error).__name__}") from error
    if not head:
        raise NotSent("empty_file", "not sent: the file is empty")
    if not is_radiograph(head):
        raise NotSent("unsupported_format", "not sent: by its first bytes neither picture nor DICOM")
    return head + rest


def is_radiograph(head: bytes) -> bool:
    """Whether a file that starts with ``head`` (132 bytes, or the whole file) may be JPEG, PNG, TIFF, BMP or DICOM."""
    if head.startswith(_SIGNATURES):
        return True
    is_bmp = head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
    return is_bmp or is_dicom(head)


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with ``head`` (132 bytes, or more) may be DICOM, with preamble or without."""
    return head.startswith(b"DICM", 128) or _BARE_DICOM.match(head) is not None
