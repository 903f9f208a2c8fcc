"""The valid API keys: those in the settings, and those in a file that is read again when it changes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from secrets import compare_digest
from typing import TypeAlias

from app.keys import Key, hash_key, read_entry
from app.logs import SERVICE_LOGGER, log_event

_Version: TypeAlias = tuple[int, int, int]
"""Of a file: time of its last change in nanoseconds, size, inode."""


def read_keys(file: Path) -> tuple[Key, ...]:
    """The keys in a file: an entry a line; empty lines and those that start with ``#`` do not count.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or a line is no entry; the message has the line's number, not its text.
    """
    keys = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            keys.append(read_entry(entry))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return tuple(keys)


class Keyring:
    """Finds the entry of an offered key."""

    def __init__(self, entries: Sequence[str], file: Path | None) -> None:
        """Reads the entries of the settings and the file.

        Args:
            file: has more entries; a look-up reads it again where it has changed.
        """
        self._fixed = tuple(map(read_entry, entries))
        self._file = file
        self._from_file: tuple[Key, ...] = ()
        self._version: _Version | None = (0, 0, 0)
        self._refresh()

    @property
    def is_empty(self) -> bool:
        """Whether no key is needed. A file without entries lets nobody in."""
        return not self._fixed and self._file is None

    def find(self, offered: str) -> Key | None:
        """The entry whose key is ``offered``; None where there is none.

        All hashes are compared, each in constant time, so that the time taken reveals nothing about them.
        """
        self._refresh()
        digest = hash_key(offered)
        found = [key for key in (*self._fixed, *self._from_file) if compare_digest(digest, key.digest)]
        return found[0] if found else None

    def _refresh(self) -> None:
        """Reads the file if it has changed. What cannot be read changes nothing, and is logged once."""
        if self._file is None or (version := _version_of(self._file)) == self._version:
            return
        self._version = version
        try:
            self._from_file = read_keys(self._file)
        except (OSError, ValueError) as error:
            log_event(SERVICE_LOGGER, "keys not read", logging.WARNING, file=str(self._file), reason=str(error))
        else:
            log_event(SERVICE_LOGGER, "keys read", file=str(self._file), keys=len(self._from_file))


def _version_of(file: Path) -> _Version | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
