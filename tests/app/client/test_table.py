"""The table stays whole, wherever a run is cut off."""

from pathlib import Path

import pytest

from app.client.table import COLUMNS, PUBLISHED, Table, TableError
from tests.app.client.command_line import rows

FIRST = {
    "dataset": "d",
    "filename": "a.png",
    "score": "3",
    "lungs_sha256": "1",
    "disease_sha256": "2",
    "threshold": "0.3",
}
NAMES = ('b, "quoted"\nand broken.png', "ü.png", b"\xff.png".decode(errors="surrogateescape"))


def written(path: Path) -> Path:
    with Table(path) as table:
        table.add(FIRST)
        for name in NAMES:
            table.add({"dataset": "d", "filename": name, "status": "500"})
    return path


def test_the_published_columns_come_first(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv")
    assert path.read_text(errors="surrogateescape").splitlines()[0].split(",")[:9] == [
        "dataset", "filename", "score",
        "lung_segment_1", "lung_segment_2", "lung_segment_3", "lung_segment_4", "lung_segment_5", "lung_segment_6",
    ]  # fmt: skip
    assert COLUMNS[:9] == PUBLISHED


def test_every_name_comes_back(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv")
    assert [row["filename"] for row in rows(path)] == ["a.png", *NAMES]
    with Table(path) as table:
        assert table.scored == {("d", "a.png"): True} | {("d", name): False for name in NAMES}
        assert table.models == {("1", "2", "0.3")}


def test_cut_off_at_any_byte_only_whole_rows_stay_and_the_rest_can_be_added(tmp_path: Path) -> None:
    whole = written(tmp_path / "t.csv").read_bytes()
    path = tmp_path / "cut.csv"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Table(path) as table:
            kept = len(table.scored)
            for name in ("a.png", *NAMES):
                if ("d", name) not in table.scored:
                    table.add(FIRST if name == "a.png" else {"dataset": "d", "filename": name, "status": "500"})
        assert path.read_bytes() == whole
        assert kept < 1 + len(NAMES)


@pytest.mark.parametrize("content", [b"name,score\na,1\n", b"dataset,filename\na,b\n", b"\x89PNG\r\n\x1a\n\x00", b"a"])
def test_another_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match="other columns"):
        Table(path)
    assert path.read_bytes() == content


def test_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with Table(path), pytest.raises(TableError, match="another run"):
        Table(path)
    Table(path).__exit__(None, None, None)
