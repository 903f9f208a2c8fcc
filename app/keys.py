"""API keys, of which the service knows only the SHA-256. ``python -m app.keys NAME`` makes a new key and its entry.

A plain hash is enough, as a key is 256 random bits, not a password that could be guessed.
"""

import hashlib
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.urgency import FIRST

KEY_BYTES: Final = 32
EXPECTED: Final = (
    "expected SHA-256 hashes of keys, 64 hexadecimal digits each, or name:hash, perhaps with ;u=0..7 and ;max=NUMBER "
    "(python -m app.keys NAME makes a key and its entry)"
)
_SHORT: Final = 8
_ENTRY: Final = re.compile(
    r"(?:(?P<name>[A-Za-z0-9._-]{1,32}):)?(?P<digest>[0-9a-f]{64})"
    r"(?:;u=(?P<urgency>[0-7]))?(?:;max=(?P<places>[1-9][0-9]{0,5}))?(?P<vouches>;vouches)?"
)


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the settings: ``name:hash;u=N;max=N;vouches``, where only the hash is needed.

    Attributes:
        digest: SHA-256 of the key, 64 hexadecimal digits.
        caller: the entry's name, or the start of its hash where it has none.
        urgency: no request of this key counts as more urgent.
        places: how many of its requests may be under way at once; None: as many as there is room for.
        vouches: its holder is a gateway, which names the caller of each request.
    """

    digest: str
    caller: str
    urgency: int = FIRST
    places: int | None = None
    vouches: bool = False


ANYBODY: Final = Key("", "")
"""Stands for the key of whoever calls a service without keys."""


def read_entry(text: str) -> Key:
    """The key that an entry describes; raises ValueError, whose message does not repeat the entry."""
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ValueError(EXPECTED)
    places = found["places"]
    return Key(
        found["digest"],
        found["name"] or found["digest"][:_SHORT],
        int(found["urgency"] or FIRST),
        None if places is None else int(places),
        found["vouches"] is not None,
    )


def new_key() -> str:
    """A new key for a client, to be shown once and stored nowhere."""
    return secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """The hash of a key as the settings hold it: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Prints a new key and its entry for the settings."""
    key = new_key()
    entry = ":".join([*arguments[:1], hash_key(key)])
    try:
        read_entry(entry)
    except ValueError:
        sys.stderr.write("usage: python -m app.keys [NAME], of letters, digits, dots, hyphens and underscores\n")
        return 2
    sys.stdout.write(f"key    {key}\nentry  {entry}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
