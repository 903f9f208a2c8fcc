"""What is taken for a radiograph."""

import io
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.client.folder import NotSent, is_radiograph, list_files, read_radiograph
from app.errors import UnsupportedFormat
from app.intake import sniff


def test_files_are_sorted_relative_and_from_every_depth(tmp_path: Path) -> None:
    names = ["b.png", "a/z.png", "a/deep/er/x", "a.png", ".hidden", "out/kept out.png", "table.csv"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    found = list_files(tmp_path, [tmp_path / "out", tmp_path / "table.csv"])
    assert found == [".hidden", "a.png", "a/deep/er/x", "a/z.png", "b.png"]


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    told: list[OSError] = []
    assert list_files(tmp_path / "none", on_error=told.append) == []
    assert len(told) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_pictures_by_content(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    Image.new("L", (80, 80)).save(file, kind)
    path = tmp_path / "no ending"
    path.write_bytes(file.getvalue())
    assert read_radiograph(path) == file.getvalue()


@pytest.mark.parametrize(
    "head",
    [
        bytes(128) + b"DICM",
        b"\x02\x00\x00\x00UL\x04\x00",
        b"\x08\x00\x05\x00CS\x0a\x00",
        b"\x08\x00\x05\x00\x0a\x00\x00\x00",
        b"\x00\x08\x00\x05CS\x00\x0a",
    ],
    ids=[
        "with a preamble",
        "file meta information without a preamble",
        "explicit VR, little endian",
        "implicit VR",
        "explicit VR, big endian",
    ],
)
def test_dicom_with_and_without_a_preamble(head: bytes) -> None:
    assert is_radiograph(head)


@given(
    tag=st.sampled_from([b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02"]),
    element=st.binary(min_size=2, max_size=2),
    value=st.sampled_from([b"UL", b"CS", b"OB", b"XX"])
    | st.integers(0, 600).map(lambda length: struct.pack("<I", length)),
)
def test_what_the_service_takes_for_dicom_is_sent(tag: bytes, element: bytes, value: bytes) -> None:
    head = tag + element + value + bytes(100)
    try:
        sniff(head)
    except UnsupportedFormat:
        return
    assert is_radiograph(head)


@pytest.mark.parametrize(
    "data",
    [b"BMW 320", b"DICM", b"patient,score\n", b"GIF89a", b"%PDF-1.7", b"PK\x03\x04", bytes(200), b"\x00" * 8],
)
def test_anything_else_is_not_sent(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "chest.png"
    path.write_bytes(data)
    with pytest.raises(NotSent, match="neither picture nor DICOM") as refusal:
        read_radiograph(path)
    assert refusal.value.code == "unsupported_format"


def test_an_empty_file_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "chest.png").write_bytes(b"")
    with pytest.raises(NotSent, match="empty") as refusal:
        read_radiograph(tmp_path / "chest.png")
    assert refusal.value.code == "empty_file"


@pytest.mark.parametrize("forbidden", ["open", "stat"])  # the file, or what its folder says of it
def test_what_cannot_be_read_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forbidden: str) -> None:
    # The tests may run as root, who may read everything.
    (tmp_path / "a.png").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, forbidden, refuse)
    with pytest.raises(NotSent, match="not sent: Permission denied") as refusal:
        read_radiograph(tmp_path / "a.png")
    assert refusal.value.code == "unreadable_file"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotSent, match="no regular file"):
        read_radiograph(tmp_path / "pipe")
