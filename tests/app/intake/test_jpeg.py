"""Intact JPEGs of every kind are read as Pillow reads them, damaged ones are refused."""

import io
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from app.errors import UnreadableImage
from app.intake import Limits, decode
from models.phantom import draw_phantom
from tests.support.samples import oriented, save

LIMITS = Limits()
GRAY = draw_phantom(192)[:187, :163].copy()
RGB = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=-1)
NOISE = np.random.default_rng(1).integers(0, 256, (160, 168), dtype=np.uint8)
EXTREMES = {
    "black": np.zeros_like(NOISE),
    "white": np.full_like(NOISE, 255),
    "noise": NOISE,
    "black and white": (NOISE >> 7) * np.uint8(255),
    "blocks": np.kron(NOISE[:20, :21] >> 7, np.full((8, 8), 255, np.uint8)),
    "writing": cv2.putText(np.full_like(NOISE, 255), "LEFT", (2, 90), 0, 1.9, 0, 7).astype(np.uint8),
}


def jpeg(picture: NDArray[np.uint8] | Image.Image, **options: Any) -> bytes:
    return save(picture, "JPEG", **{"quality": 90, **options})


def read(data: bytes) -> NDArray[np.uint8]:
    return decode(data, LIMITS).pixels


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    """Its luma, without a look at damage."""
    image = Image.open(io.BytesIO(data))
    image.draft("L", None)
    return np.asarray(image.convert("RGB").convert("L") if image.mode == "CMYK" else image.convert("L"))


def before(data: bytes, marker: int, piece: bytes) -> bytes:
    """``piece`` put before the first such marker."""
    place = data.index(bytes((0xFF, marker)))
    return data[:place] + piece + data[place:]


PLAIN = jpeg(GRAY)
SCAN = PLAIN.index(b"\xff\xda")
NOTELESS = PLAIN[:2] + PLAIN[PLAIN.index(b"\xff\xdb") :]
PROFILE = jpeg(RGB, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
INTACT: dict[str, bytes] = {
    "gray": PLAIN,
    "progressive": jpeg(GRAY, progressive=True),
    "optimised": jpeg(GRAY, optimize=True),
    "restarts in rows": jpeg(GRAY, restart_marker_rows=2),
    "restarts in blocks": jpeg(RGB, restart_marker_blocks=3),
    "progressive with restarts": jpeg(RGB, restart_marker_blocks=3, progressive=True),
    **{
        f"colour {subsampling}": bytes(imagecodecs.jpeg8_encode(RGB, 90, subsampling=subsampling))
        for subsampling in ("444", "422", "420", "411", "440")
    },
    "stored as RGB": jpeg(RGB, keep_rgb=True),
    "stored as RGB, black": jpeg(RGB * 0, keep_rgb=True),
    "CMYK": jpeg(Image.fromarray(RGB).convert("CMYK")),
    "EXIF and a comment": jpeg(RGB, exif=oriented(1), comment=b"nothing" * 99),
    "a profile": PROFILE,
    "a broken profile": PROFILE.replace(b"ICC_PROFILE\0\1", b"ICC_PROFILE\0\7"),
    "Adobe": PLAIN[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0" + PLAIN[2:],
    "no notes": NOTELESS,
    "JFIF of another version": PLAIN.replace(b"JFIF\0\1", b"JFIF\0\2"),
    "rubbish between segments": before(PLAIN, 0xDB, b"rub\xff\0bish"),
    "fill bytes": before(before(PLAIN, 0xDB, b"\xff" * 9), 0xD9, b"\xff" * 5),
    "bounds of a scan that has none": PLAIN[: SCAN + 7] + bytes(3) + PLAIN[SCAN + 10 :],
    "zeros before the end": before(PLAIN, 0xD9, bytes(17)),
    "bytes after the end": PLAIN + b"bytes" * 99,
    "a picture after the end": PLAIN + PLAIN,
}


@pytest.mark.parametrize("name", INTACT)
def test_an_intact_file_is_read(name: str) -> None:
    assert (read(INTACT[name]) == by_pillow(INTACT[name])).all()


@pytest.mark.parametrize("side", [64, 65, 71, 72])
@pytest.mark.parametrize("picture", [GRAY, RGB], ids=["gray", "colour"])
def test_any_size_is_read(picture: NDArray[np.uint8], side: int) -> None:
    for quality in (75, 98):
        data = jpeg(picture[:side, : 2 * side - 57], quality=quality)
        assert (read(data) == by_pillow(data)).all()


@pytest.mark.parametrize("name", EXTREMES)
def test_the_ends_of_the_range_are_no_damage(name: str) -> None:
    for quality in range(1, 101):
        read(jpeg(EXTREMES[name], quality=quality))


def test_damage_behind_oddities_is_refused() -> None:
    odd = INTACT["rubbish between segments"]
    place = odd.index(b"\xff\xda") + 900
    with pytest.raises(UnreadableImage):
        read(odd[:place] + bytes(600) + odd[place + 600 :])


@pytest.mark.parametrize("quality", [60, 80, 94, 98])
@pytest.mark.parametrize(("level", "is_read"), [(-200, False), (-128, True), (127, True), (200, False)])
def test_what_no_picture_of_8_bits_holds_is_refused(level: int, is_read: bool, quality: int) -> None:
    """A lost bit shifts all that follows it, and libjpeg does not warn where the coding is in step again."""
    samples = np.repeat(np.array([2048, 2048 + level], np.uint16), 32)[:, None].repeat(64, axis=1)
    wide = bytes(imagecodecs.jpeg8_encode(samples, quality, bitspersample=12))
    data = wide.replace(b"\xff\xc1\0\x0b\x0c", b"\xff\xc1\0\x0b\x08")
    if is_read:
        assert np.abs(read(data).astype(int) - 128 + 2048 - samples).max() <= 2
    else:
        with pytest.raises(UnreadableImage):
            read(data)
