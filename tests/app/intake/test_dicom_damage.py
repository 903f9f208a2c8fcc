"""Intact codestreams are read whatever they hold, damaged ones are refused, and nothing of them is logged."""

import itertools
import threading

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate

from app.errors import UnreadableImage
from app.intake import Limits, decode
from app.intake.dicom.codestreams import read_jpeg2000_frame, read_jpeg_frame
from app.intake.dicom.deep_jpeg import decode_12_bits, decode_lossless
from app.intake.dicom.jpeg2000 import decode_jpeg2000
from models.phantom import draw_phantom
from tests.support.dicoms import ENCODERS, dicom

LIMITS = Limits()
GRAY = draw_phantom(128)[:71, :67]
NOISE = np.random.default_rng(2).integers(0, 1 << 16, GRAY.shape)


def contents(bits: int) -> list[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Pictures that end in all ways, in the mid-gray too that libjpeg puts where it has no data."""
    dtype, middle = np.uint8 if bits <= 8 else np.uint16, 1 << bits - 1
    found = [GRAY.astype(int) * ((1 << bits) - 1) // 255, NOISE >> 16 - bits]
    found += [np.full_like(NOISE, value) for value in (0, middle, 2 * middle - 1)]
    ending = NOISE >> 16 - bits
    ending[30:] = middle
    return [picture.astype(dtype) for picture in (*found, ending)]


@pytest.mark.parametrize("bits", range(2, 17))
def test_lossless_jpeg_of_all_contents_is_read(bits: int) -> None:
    for samples, predictor in itertools.product(contents(bits), range(1, 8)):
        data = bytes(imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits))
        found = decode_lossless(data, read_jpeg_frame(data))
        assert found.dtype == samples.dtype and (found == samples).all()


def _restarting(samples: NDArray[np.uint16], rows: int) -> bytes:
    """A lossless JPEG of 12 bits that begins anew after so many rows; all differences' sizes are coded in 5 bits."""
    height, width = samples.shape
    frame = b"\x0c" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    table = b"\0" + bytes((0, 0, 0, 0, 17, *[0] * 11)) + bytes(range(17))
    pieces = []
    for start in range(0, height, rows):
        piece = samples[start : start + rows].astype(int)
        piece[1:, 1:] -= piece[1:, :-1].copy()
        piece[1:, 0] -= samples[start : start + rows][:-1, 0]
        piece[0, 1:] = np.diff(samples[start].astype(int))
        piece[0, 0] -= 2048
        bits = "".join(_coded(int(value)) for value in piece.ravel())
        bits += "1" * (-len(bits) % 8)
        pieces.append(int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0"))
    coded = pieces[0] + b"".join(bytes((0xFF, 0xD0 + number % 8)) + piece for number, piece in enumerate(pieces[1:]))
    segments = {0xC3: frame, 0xC4: table, 0xDD: (rows * width).to_bytes(2, "big"), 0xDA: b"\x01\x01\x00\x01\x00\x00"}
    header = b"".join(bytes((0xFF, mark, 0, len(held) + 2)) + held for mark, held in segments.items())
    return b"\xff\xd8" + header + coded + b"\xff\xd9"


def _coded(difference: int) -> str:
    size = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << size) - 1
    return format(size, "05b") + (format(value, f"0{size}b") if size else "")


@pytest.mark.parametrize("rows", [1, 8, 71, 100])
def test_lossless_jpeg_with_restarts_is_read(rows: int) -> None:
    for samples in contents(12):
        data = _restarting(samples.astype(np.uint16), rows)
        assert (decode_lossless(data, read_jpeg_frame(data)) == samples).all()


@pytest.mark.parametrize("quality", [5, 50, 90, 100])
def test_jpeg_of_12_bits_of_all_contents_is_read(quality: int) -> None:
    for samples in contents(12):
        data = bytes(imagecodecs.jpeg8_encode(samples, quality, bitspersample=12))
        assert (decode_12_bits(data, read_jpeg_frame(data)) == imagecodecs.jpeg8_decode(data)).all()


@pytest.mark.parametrize("level", [0, 30, 60])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_2000_of_all_contents_is_read(bits: int, level: int) -> None:
    for samples in contents(bits):
        data = bytes(
            imagecodecs.jpeg2k_encode(samples, level, codecformat="j2k", bitspersample=bits, reversible=not level)
        )
        assert (decode_jpeg2000(data, read_jpeg2000_frame(data)) == imagecodecs.jpeg2k_decode(data)).all()


def test_damage_is_found_by_the_thread_that_met_it(caplog: pytest.LogCaptureFixture) -> None:
    samples = draw_phantom(256)
    codestream = ENCODERS[uid.JPEG2000Lossless](samples, 8)
    damaged = codestream[:9000] + bytes(512) + codestream[9512:]
    files = [dicom(samples, uid.JPEG2000Lossless, 8, encapsulate([data])) for data in (codestream, damaged)]
    refused: list[int] = []

    def work() -> None:
        for number, file in itertools.product(range(3), (0, 1)):
            try:
                decode(files[file], LIMITS)
            except UnreadableImage:
                refused.append(file + 2 * number)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refused) == [1] * 3 + [3] * 3 + [5] * 3 and not caplog.records


def test_the_frame_of_a_codestream_says_where_its_style_stands() -> None:
    data = ENCODERS[uid.JPEG2000Lossless](draw_phantom(64), 8)
    frame = read_jpeg2000_frame(data)
    assert frame.place == data.index(b"\xff\x52") + 12 and 0 < frame.pieces < 100
