"""``python -m benchmarks.robustness.damage``: damages the phantom in ten ways, and counts what is refused.

What counts is a file that still decodes, to a picture of which more than 1 % of the pixels are others. Files that no
decoder opens are counted apart: they have to be refused too.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from app.errors import UnreadableImage
from app.intake import Limits, decode
from app.intake.dicom import configure
from app.intake.dicom.codestreams import read_jpeg_frame
from models.phantom import draw_phantom
from tests.support.dicoms import ENCODERS, dicom

Way = Callable[[bytes, bytes, Random], bytes]
Samples = NDArray[Any]

CHANGED: Final = 0.01
_END: Final = b"\xff\xd9"
_ERRORS: Final = (ValueError, RuntimeError)


def _place(data: bytes, length: int, rng: Random) -> slice:
    start = rng.randrange(len(data) - length + 1)
    return slice(start, start + length)


def _length(data: bytes, rng: Random, *lengths: int) -> int:
    """One of ``lengths``; of a small file a quarter at most."""
    return min(rng.choice(lengths), len(data) // 4)


def _put(data: bytes, place: slice, piece: bytes) -> bytes:
    return data[: place.start] + piece + data[place.stop :]


def flip_bits(data: bytes, _: bytes, rng: Random) -> bytes:
    """2 to 16 bits, anywhere."""
    changed = bytearray(data)
    for _bit in range(rng.choice((2, 4, 8, 16))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zero_bytes(data: bytes, _: bytes, rng: Random) -> bytes:
    length = _length(data, rng, 512, 4096)
    return _put(data, _place(data, length, rng), bytes(length))


def put_foreign_block(data: bytes, other: bytes, rng: Random) -> bytes:
    """From another file of the same format."""
    length = min(_length(data, rng, 512, 4096), len(other))
    return _put(data, _place(data, length, rng), other[_place(other, length, rng)])


def lose_bytes(data: bytes, _: bytes, rng: Random) -> bytes:
    return _put(data, _place(data, _length(data, rng, 1, 16, 512, 1460), rng), b"")


def double_bytes(data: bytes, _: bytes, rng: Random) -> bytes:
    place = _place(data, _length(data, rng, 1, 16, 512, 1460), rng)
    return _put(data, place, 2 * data[place])


def cut(data: bytes, _: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def cut_and_close(data: bytes, other: bytes, rng: Random) -> bytes:
    return cut(data, other, rng) + _END


def swap_blocks(data: bytes, _: bytes, rng: Random) -> bytes:
    """Two of the same length."""
    length = _length(data, rng, 512, 4096) // 2
    first, second = sorted(rng.sample(range(len(data) // length), 2))
    one, two = (slice(start * length, (start + 1) * length) for start in (first, second))
    return _put(_put(data, two, data[one]), one, data[two])


def put_random_bytes(data: bytes, _: bytes, rng: Random) -> bytes:
    length = _length(data, rng, 16, 64, 512)
    return _put(data, _place(data, length, rng), rng.randbytes(length))


def set_a_byte(data: bytes, _: bytes, rng: Random) -> bytes:
    """To 0xFF."""
    return _put(data, _place(data, 1, rng), b"\xff")


WAYS: Final[Sequence[Way]] = (
    flip_bits,
    zero_bytes,
    put_foreign_block,
    lose_bytes,
    double_bytes,
    cut,
    cut_and_close,
    swap_blocks,
    put_random_bytes,
    set_a_byte,
)


@dataclass(frozen=True)
class Kind:
    """A format that is damaged.

    Attributes:
        encode: the codestream of uint8 [H, W].
        start: where its coded pixels begin.
        read: its samples, damaged or not.
        wrap: the file of a codestream.
        bar: the share of changed files that has to be refused.
    """

    encode: Callable[[NDArray[np.uint8]], bytes]
    start: Callable[[bytes], int]
    read: Callable[[bytes], Samples]
    wrap: Callable[[bytes, NDArray[np.uint8]], bytes]
    bar: float


def _jpeg(**options: Any) -> Kind:
    def encode(gray: NDArray[np.uint8]) -> bytes:
        file = io.BytesIO()
        Image.fromarray(gray).save(file, "JPEG", quality=90, **options)
        return file.getvalue()

    return Kind(encode, lambda data: data.index(b"\xff\xda") + 10, _read_jpeg, lambda data, _: data, 0.95)


def _read_jpeg(data: bytes) -> Samples:
    samples: Samples = simplejpeg.decode_jpeg(data, "GRAY", strict=False)
    return samples[..., 0]


def _read_jpeg_ls(data: bytes) -> Samples:
    if not data.endswith(_END):
        raise ValueError("CharLS looks for the end for many seconds")
    return imagecodecs.jpegls_decode(data)


def _in_dicom(syntax: str, bits: int, read: Callable[[bytes], Samples], bar: float = 0.8) -> Kind:
    def wide(gray: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        return gray if bits == 8 else np.rint(gray * ((2**bits - 1) / 255)).astype(np.uint16)

    def start(data: bytes) -> int:
        is_jpeg2000 = syntax in (uid.JPEG2000Lossless, uid.JPEG2000)
        return data.index(b"\xff\x93") + 2 if is_jpeg2000 else read_jpeg_frame(data).coded

    return Kind(
        lambda gray: ENCODERS[syntax](wide(gray), bits),
        start,
        read,
        lambda data, gray: dicom(wide(gray), syntax, bits, encapsulate([data])),
        bar,
    )


KINDS: Final[Mapping[str, Kind]] = {
    "JPEG": _jpeg(),
    "JPEG, progressive": _jpeg(progressive=True),
    ".50, JPEG baseline": _in_dicom(uid.JPEGBaseline8Bit, 8, _read_jpeg, 0.95),
    ".51, JPEG of 12 bits": _in_dicom(uid.JPEGExtended12Bit, 12, imagecodecs.jpeg8_decode),
    ".57, lossless JPEG": _in_dicom(uid.JPEGLossless, 12, imagecodecs.jpeg8_decode),
    ".70, lossless JPEG": _in_dicom(uid.JPEGLosslessSV1, 12, imagecodecs.jpeg8_decode),
    ".80, JPEG-LS": _in_dicom(uid.JPEGLSLossless, 12, _read_jpeg_ls),
    ".90, JPEG 2000 lossless": _in_dicom(uid.JPEG2000Lossless, 12, imagecodecs.jpeg2k_decode),
    ".91, JPEG 2000": _in_dicom(uid.JPEG2000, 12, imagecodecs.jpeg2k_decode),
}


@dataclass
class Count:
    """What became of a format's damaged files.

    Attributes:
        changed: that decode to another picture.
        refused: of these.
        closed: that no decoder opens.
        let_through: of these.
        harmless: that decode to the same picture, or almost, and are refused.
    """

    changed: int = 0
    refused: int = 0
    closed: int = 0
    let_through: int = 0
    harmless: int = 0

    @property
    def share(self) -> float:
        """Of the changed ones that are refused; 1 where there are none."""
        return self.refused / self.changed if self.changed else 1.0


def count(kind: Kind, rounds: int, size: int, seed: int) -> Count:
    """Damages a phantom of ``size`` x ``size`` pixels ``rounds`` times in each of the ten ways.

    Raises:
        Problem: the intact one is refused.
    """
    gray, other = draw_phantom(size, ("right_lower", "left_middle")), draw_phantom(size)[:, ::-1]
    data, found = kind.encode(gray), Count()
    intact = kind.read(data)
    decode(kind.wrap(data, gray), Limits())
    for damaged in _damaged(kind, data, kind.encode(np.ascontiguousarray(other)), rounds, seed):
        is_refused = _is_refused(kind.wrap(damaged, gray))
        try:
            samples = kind.read(damaged)
        except _ERRORS:
            found.closed += 1
            found.let_through += not is_refused
            continue
        if samples.shape != intact.shape or np.mean(samples != intact) > CHANGED:
            found.changed += 1
            found.refused += is_refused
        else:
            found.harmless += is_refused
    return found


def _damaged(kind: Kind, data: bytes, other: bytes, rounds: int, seed: int) -> Iterator[bytes]:
    start, foreign = kind.start(data), other[kind.start(other) : -2]
    for number in range(rounds):
        for way in WAYS:
            rng = Random(f"{seed}:{number}:{way.__name__}")  # noqa: S311 - to be repeated, not to be secret
            coded = way(data[start:-2], foreign, rng)
            yield data[:start] + coded + (b"" if way in (cut, cut_and_close) else data[-2:])


def _is_refused(file: bytes) -> bool:
    try:
        decode(file, Limits())
    except UnreadableImage:
        return True
    return False


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.damage", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="times each of the ten ways; 50 by default")
    parser.add_argument("--size", type=int, default=512, help="side of the phantom, pixels; 512 by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    configure()
    print("| Format | Read by a decoder as another picture | Refused of these | Read by no decoder |")
    print("|---|---|---|---|")
    for name, kind in KINDS.items():
        found = count(kind, options.rounds, options.size, options.seed)
        share = f"{found.refused} ({100 * found.share:.1f} %)" if found.changed else "–"
        print(f"| {name} | {found.changed} | {share} | {found.closed} |", flush=True)


if __name__ == "__main__":
    main()
