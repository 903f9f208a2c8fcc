"""Damaged, oversized and hostile files: refused, within bounds of time and memory."""

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import ImageTooLarge, ImageTooSmall, Problem, UnreadableImage
from app.intake import Limits, decode
from tests.support.samples import HEIGHT, WIDTH, bmp, bmp_rle8, chest, chunk, gray_palette, oriented, png, save, tiff

# Damage is what these tests are about; pytest would list what the service ignores.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GRAY = chest()
LIMITS = Limits(max_pixels=200_000, max_side=1000)
FILES = {
    "jpeg": save(GRAY, "JPEG", exif=oriented(6)),
    "jpeg progressive": save(np.stack([GRAY] * 3, axis=-1), "JPEG", progressive=True),
    "jpeg cmyk": save(Image.fromarray(GRAY).convert("CMYK"), "JPEG"),
    "png": save(GRAY, "PNG", exif=oriented(3)),
    "png palette": save(Image.fromarray(GRAY).convert("P"), "PNG", transparency=3),
    "png 16": save(GRAY.astype(np.uint16) * 257, "PNG"),
    "png 16 colour": png(np.stack([GRAY.astype(">u2")] * 3, axis=-1), 16, 2),
    "tiff": save(GRAY, "TIFF", exif=oriented(5)),
    "tiff 16": tiff(GRAY.astype(np.uint16), 1, order=">"),
    "tiff float": tiff(GRAY.astype(np.float32), 1, 3),
    "tiff lzw": save(GRAY, "TIFF", compression="tiff_lzw"),
    "tiff deflate": save(GRAY, "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": save(GRAY, "TIFF", compression="jpeg"),
    "tiff group4": save(Image.fromarray(GRAY > 99), "TIFF", compression="group4"),
    "bmp": save(GRAY, "BMP"),
    "bmp 32": save(Image.fromarray(GRAY).convert("RGBA"), "BMP"),
    "bmp run-length": bmp_rle8(GRAY),
}
# Group 4 marks damage no more than by a line that stops making sense.
CUT = sorted(FILES.keys() - {"tiff group4"})


def test_every_sample_is_whole() -> None:
    assert {decode(data, LIMITS).pixels.size for data in FILES.values()} == {GRAY.size}


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", CUT)
def test_a_truncated_file_is_unreadable(name: str, part: float) -> None:
    with pytest.raises(UnreadableImage):
        decode(FILES[name][: int(len(FILES[name]) * part)], LIMITS)


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png"])
def test_even_the_last_bytes_are_missed(name: str) -> None:
    with pytest.raises(UnreadableImage):
        decode(FILES[name][:-10], LIMITS)


def test_one_flipped_bit_in_a_png_is_unreadable() -> None:
    data = bytearray(FILES["png 16"])
    data[len(data) // 2] ^= 1
    with pytest.raises(UnreadableImage):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((63, 64), ImageTooSmall),
        ((64, 63), ImageTooSmall),
        ((64, 1001), ImageTooLarge),
        ((500, 401), ImageTooLarge),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_sizes_out_of_bounds(kind: str, shape: tuple[int, int], problem: type[Problem]) -> None:
    with pytest.raises(problem, match=f"{shape[1]} x {shape[0]} pixels"):
        decode(save(np.zeros(shape, np.uint8), kind), LIMITS)


@pytest.mark.parametrize("side", [30_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    bare = bmp(0, 8, b"", gray_palette(), side, side)
    for bomb in (data, bare, tiff(GRAY, 1, t256=side, t257=side)):
        with pytest.raises(ImageTooLarge):
            decode(bomb, Limits(max_side=100_000))


def test_tiles_beyond_any_picture_are_refused() -> None:
    with pytest.raises(ImageTooLarge):
        decode(tiff(GRAY, 1, t322=1 << 20, t323=1 << 20, t324=8, t325=GRAY.size, t259=8), LIMITS)


def test_missing_strips_are_unreadable() -> None:
    with pytest.raises(UnreadableImage, match="lacks"):
        decode(tiff(GRAY, 1, t278=HEIGHT // 2), LIMITS)


def test_several_tiff_pages_are_refused() -> None:
    page = Image.fromarray(GRAY)
    with pytest.raises(UnreadableImage, match="several pages"):
        decode(save(page, "TIFF", save_all=True, append_images=[page]), LIMITS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_unreadable(value: float) -> None:
    samples = GRAY.astype(np.float32)
    samples[3, 5] = value
    with pytest.raises(UnreadableImage, match="finite"):
        decode(tiff(samples, 1, 3), LIMITS)


def _segments(count: int, segment: bytes) -> bytes:
    """A JPEG with so many more segments."""
    return FILES["jpeg"][:2] + segment * count + FILES["jpeg"][2:]


HOSTILE = {
    "jpeg of tiny segments": _segments(1_000_000, b"\xff\xe4\0\2"),
    "jpeg of fill bytes": _segments(4_000_000, b"\xff"),
    "jpeg of growing EXIF": _segments(100_000, b"\xff\xe1\0\x20Exif\0\0" + bytes(24)),
    "jpeg of scans": FILES["jpeg progressive"][:-2] + b"\xff\xda\0\6\1\1\0\0\0\0" * 400_000 + b"\xff\xd9",
    "png of tiny chunks": png(GRAY, 8, 0, chunk(b"abCd", b"") * 150_000),
    "tiff of many tags": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 200_000) + bytes([9, 9, 1, 0] * 5) * 200_000,
    "bmp of line ends": bmp(1, 8, b"\0\0" * 2_000_000, gray_palette(), WIDTH, HEIGHT),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little(name: str) -> None:
    began = time.process_time()
    tracemalloc.start()
    try:
        decode(HOSTILE[name], LIMITS)
    except Problem as problem:
        assert problem.status == 422
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * len(HOSTILE[name]) + 8_000_000
    assert time.process_time() - began < 2


def test_a_text_bomb_is_not_even_unpacked() -> None:
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(8_000_000)))
    assert (decode(png(GRAY, 8, 0, bomb), LIMITS).pixels == GRAY).all()


def test_details_tell_nothing_of_the_content() -> None:
    for magic in MAGICS:
        with pytest.raises(Problem) as caught:
            decode(magic + b"DOE^JANE" * 20, LIMITS)
        assert "DOE" not in caught.value.detail


def _answers(data: bytes) -> None:
    """Decoding gives a radiograph or a problem of the client's, nothing else."""
    try:
        radiograph = decode(data, LIMITS)
    except Problem as problem:
        assert problem.status < 500
    else:
        assert radiograph.pixels.dtype == np.uint8 and radiograph.pixels.ndim == 2


MAGICS = (
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"BM" + bytes(12) + b"(\0\0\0",
)
FUZZ = settings(suppress_health_check=list(HealthCheck))


@given(st.sampled_from(MAGICS), st.binary(max_size=300))
@settings(FUZZ, max_examples=200)
def test_random_bytes(magic: bytes, data: bytes) -> None:
    _answers(magic + data)


@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=4), st.integers(0, 8)), min_size=1, max_size=6),
)
@settings(FUZZ, max_examples=300)
def test_mutated_files(name: str, edits: list[tuple[int, bytes, int]]) -> None:
    data = bytearray(FILES[name])
    for place, piece, gap in edits:
        start = place % len(data)
        data[start : start + gap] = piece
        data += bytes(1)
    _answers(_with_checksums(bytes(data)))


def _with_checksums(data: bytes) -> bytes:
    """A PNG with its checksums made right again, so that damage gets past them; others as they are."""
    if not data.startswith(b"\x89PNG"):
        return data
    file, out = io.BytesIO(data[8:]), [data[:8]]
    while len(head := file.read(8)) == 8:
        body = file.read(min(int.from_bytes(head[:4], "big"), len(data)))
        out.append(chunk(head[4:], body))
        file.read(4)
    return b"".join(out)
