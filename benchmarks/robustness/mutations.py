"""From one seed to a file that nobody sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Final

from benchmarks.robustness import dicoms as dicoms  # puts its edits among the others
from benchmarks.robustness.structures import editor_of, scramble

_EDITS: Final = (1, 1, 1, 2, 2, 3, 5)
_MAX_BYTES: Final = 4 << 20


@dataclass(frozen=True)
class Case:
    """One file of a campaign: the same for the same ``seed``, ``index`` and seeds.

    Attributes:
        name: of the seed that it was made of.
        data: the file.
    """

    index: int
    name: str
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256, hex."""
        return sha256(self.data).hexdigest()


def build_case(seed: int, index: int, seeds: dict[str, bytes]) -> Case:
    """The file number ``index`` of the campaign ``seed``."""
    rng = Random(f"{seed}:{index}")  # noqa: S311 - to be repeated, not to be secret
    name = rng.choice(sorted(seeds))
    return Case(index, name, mutate(seeds[name], list(seeds.values()), rng))


def mutate(data: bytes, donors: Sequence[bytes], rng: Random) -> bytes:
    """``data`` after one edit or a few: of its format's structure, of its bytes, or joined with another file."""
    for _ in range(rng.choice(_EDITS)):
        way = rng.random()
        if way < 0.6:
            data = editor_of(data)(data, rng)
        elif way < 0.9:
            data = scramble(data, rng)
        else:
            data = splice(data, rng.choice(donors), rng)
    return data[:_MAX_BYTES]


def splice(data: bytes, donor: bytes, rng: Random) -> bytes:
    """The head of one and the tail of the other, or a piece of the other in its midst."""
    cut, start = rng.randrange(len(data) + 1), rng.randrange(len(donor))
    if rng.random() < 0.5:
        return data[:cut] + donor[start:]
    end = rng.randrange(start, len(donor))
    return data[:cut] + donor[start:end] + data[cut:]
