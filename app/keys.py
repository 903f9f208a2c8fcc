"""API keys, of which the service knows only the SHA-256. ``python -m app.keys`` makes a new key and its hash.

A plain hash is enough, as a key is 256 random bits, not a password that could be guessed.
"""

import hashlib
import secrets
import sys
from secrets import compare_digest

KEY_BYTES = 32
HASH_DIGITS = 64


def new_key() -> str:
    """A new key for a client, to be shown once and stored nowhere."""
    return secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """The hash of a key as the settings hold it: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_hash(text: str) -> bool:
    """Whether ``text`` can be the hash of a key, and is not a key itself."""
    return len(text) == HASH_DIGITS and all(digit in "0123456789abcdef" for digit in text)


def is_among(offered: str, hashes: tuple[str, ...]) -> bool:
    """Whether the hash of the ``offered`` key is among ``hashes``.

    All hashes are compared, each in constant time, so that the time taken reveals nothing about them.
    """
    found = hash_key(offered)
    matches = [compare_digest(found, known) for known in hashes]
    return any(matches)


def main() -> int:
    """Prints a new key and its hash."""
    key = new_key()
    sys.stdout.write(f"key   {key}\nhash  {hash_key(key)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
