"""API keys, of which the service knows only the SHA-256. ``python -m app.keys NAME`` makes a new key and its entry.

A plain hash is enough, as a key is 256 random bits, not a password that could be guessed.
"""

import hashlib
import re
import secrets
import sys
from collections.abc import Sequence
from secrets import compare_digest

KEY_BYTES = 32
HASH_DIGITS = 64
_SHORT = 8
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")


def new_key() -> str:
    """A new key for a client, to be shown once and stored nowhere."""
    return secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """The hash of a key as the settings hold it: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_hash(text: str) -> bool:
    """Whether ``text`` can be the hash of a key, and is not a key itself."""
    return len(text) == HASH_DIGITS and all(digit in "0123456789abcdef" for digit in text)


def is_entry(text: str) -> bool:
    """Whether ``text`` is a key's hash, or ``name:hash``."""
    name, separator, digest = text.rpartition(":")
    return is_hash(digest) and bool(_NAME.fullmatch(name) if separator else not name)


def caller_of(offered: str, entries: Sequence[str]) -> str | None:
    """The name of the entry whose key is ``offered``, or the start of its hash where it has no name.

    None where no entry has this key.
    All hashes are compared, each in constant time, so that the time taken reveals nothing about them.
    """
    found = hash_key(offered)
    callers = [
        name or digest[:_SHORT]
        for name, _, digest in (entry.rpartition(":") for entry in entries)
        if compare_digest(found, digest)
    ]
    return callers[0] if callers else None


def main(arguments: Sequence[str]) -> int:
    """Prints a new key and its entry for the settings."""
    key = new_key()
    entry = ":".join([*arguments[:1], hash_key(key)])
    if not is_entry(entry):
        sys.stderr.write("usage: python -m app.keys [NAME], of letters, digits, dots, hyphens and underscores\n")
        return 2
    sys.stdout.write(f"key    {key}\nentry  {entry}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
