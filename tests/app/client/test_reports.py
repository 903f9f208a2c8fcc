"""``--reports``: what is kept of each radiograph, from one call."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from app.client.reports import SamePlace, check_places, place_of
from docs.postman.files import dicom
from models.phantom import draw_phantom
from tests.app.client.command_line import FEW_SECONDS, begin, pictures, score
from tests.app.client.test_command import radiographs
from tests.app.client.test_table import rows
from tests.support.faulty import Fault, Faulty, faulty_service
from tests.support.server import Server

KEPT = ["fhir.json", "pr.dcm", "sc.dcm", "seg.dcm", "sr.dcm"]
HEAD = bytes(128) + b"DICM"


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_service() as service:
        yield service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file that starts as DICOM, and one that starts as PNG."""
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "chest.dcm").write_bytes(HEAD)
    (tmp_path / "in" / "chest.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "in"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_with_reports(server: Server, phantom_png: bytes, tmp_path: Path) -> None:
    folder, table, reports = tmp_path / "in", tmp_path / "t.csv", tmp_path / "in" / "reports"
    radiographs(folder, phantom_png)
    image = dicom(draw_phantom(400))
    image.PatientName = "Another^Name"
    image.save_as(folder / "CT 1" / "chest.DCM", enforce_file_format=True)
    plain = tmp_path / "plain.csv"
    assert score(folder, plain, server.url, "--threshold", "0.2").exit_code == 1
    result = score(folder, table, server.url, "--reports", str(reports), "--threshold", "0.2", "--concurrency", "2")
    assert result.exit_code == 1, result.stderr
    summary = "2 not sent (1 empty_file, 1 unsupported_format), 1 refused (1 unreadable_image), 5 scored, 1 unscorable"
    assert summary in result.stderr
    kept = [f"{place}/{file}" for place in ("CT 1/chest", "IM000001", "IM000002") for file in KEPT]
    assert files(reports) == sorted(kept)  # of DICOM files only, and nothing unfinished

    changing = ("pred_time", "request_id")
    found, alone = (
        {row["filename"]: {name: cell for name, cell in row.items() if name not in changing} for row in rows(path)}
        for path in (table, plain)
    )
    assert found == alone

    upload = (folder / "CT 1" / "chest.DCM").read_bytes()
    asked = {"include": "seg,sr,sc,pr,fhir", "threshold": "0.2"}
    answer = server.client.post("/reports", params=asked, content=upload, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        for name in KEPT:
            assert (reports / "CT 1" / "chest" / name).read_bytes() == archive.read(name)
    assert str(pydicom.dcmread(reports / "CT 1" / "chest" / "sr.dcm").PatientName) == "Another^Name"

    again = score(folder, table, server.url, "--reports", str(reports))
    assert "nothing to send; 9 answered before" in again.stderr  # the reports among the radiographs are not looked at


def test_what_is_asked_for(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    result = score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r"), "--concurrency", "1")
    assert result.exit_code == 0, result.stderr
    assert [path for path, *_ in faulty.asked] == [
        "/reports?include=seg%2Csr%2Csc%2Cpr%2Cfhir%2Cjson",
        "/reports?include=json",
    ]
    assert {headers["accept"] for _, headers, *_ in faulty.asked} == {"application/zip"}
    assert files(tmp_path / "r") == [f"a/chest/{name}" for name in KEPT]
    assert (tmp_path / "r" / "a" / "chest" / "sr.dcm").read_bytes() == b"sr.dcm"


def test_a_busy_service_is_asked_again(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    faulty.faults = [Fault(503, "overloaded"), Fault(502)]
    assert score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r")).exit_code == 0
    assert len(faulty.asked) == 4
    assert len(files(tmp_path / "r")) == len(KEPT)


def test_a_refused_file_has_no_reports(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    faulty.faults = [Fault(422, "unsupported_dicom")]
    result = score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r"), "--concurrency", "1")
    assert result.exit_code == 1
    assert [row["error"] for row in rows(tmp_path / "t.csv")] == ["unsupported_dicom", ""]
    assert not (tmp_path / "r").exists()


def test_an_unscorable_radiograph_has_reports(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    faulty.edits = {"score": None, "margin": None, "quality": {"scorable": False, "flags": ["rotated"]}}
    assert score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r")).exit_code == 1
    assert len(files(tmp_path / "r")) == len(KEPT)


@pytest.mark.parametrize(
    "parts",
    [
        {"sr.dcm": None},
        {"json.json": None},
        {"json.json": b"[]"},
        {"json.json": b"{"},
        {"json.json": b"\xff"},
        {"json.json": b"{}"},
    ],
)
def test_a_zip_that_lacks_something_is_written_nowhere(
    faulty: Faulty, folder: Path, tmp_path: Path, parts: dict[str, bytes | None]
) -> None:
    faulty.parts = parts
    result = score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r"), "--concurrency", "1")
    assert result.exit_code == 2
    assert rows(tmp_path / "t.csv") == []
    assert not (tmp_path / "r").exists()


def test_a_page_in_place_of_a_zip_is_no_answer(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    faulty.faults = [Fault(200)]
    result = score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r"), "--concurrency", "1")
    assert (result.exit_code, rows(tmp_path / "t.csv")) == (2, [])
    assert "not a ZIP" in result.stderr


def test_other_names_in_the_zip_are_not_written(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    faulty.parts = {"../../outside.dcm": b"x", "other.dcm": b"x"}
    assert score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r")).exit_code == 0
    assert files(tmp_path / "r") == [f"a/chest/{name}" for name in KEPT]
    assert not list(tmp_path.rglob("outside.dcm"))


def test_an_interrupted_run_goes_on_and_leaves_nothing_half_written(
    faulty: Faulty, folder: Path, tmp_path: Path
) -> None:
    table, reports = tmp_path / "t.csv", tmp_path / "r"
    faulty.gate.clear()
    process = begin(folder, table, faulty.url, "--reports", str(reports), "--concurrency", "1")
    assert faulty.arrived.acquire(timeout=FEW_SECONDS)
    process.kill()
    process.wait(FEW_SECONDS)
    process.stderr.close()
    assert files(tmp_path / "r") == []
    faulty.gate.set()
    assert score(folder, table, faulty.url, "--reports", str(reports)).exit_code == 0
    assert len(rows(table)) == 2
    assert files(reports) == [f"a/chest/{name}" for name in KEPT]


@pytest.mark.parametrize("other", ["--masks", "--overlays"])
def test_reports_and_pictures_would_take_two_calls(faulty: Faulty, folder: Path, tmp_path: Path, other: str) -> None:
    options = ("--reports", str(tmp_path / "r"), other, str(tmp_path / "o"))
    result = score(folder, tmp_path / "t.csv", faulty.url, *options)
    assert result.exit_code == 2
    assert "two calls" in result.stderr
    assert faulty.asked == []
    assert not (tmp_path / "t.csv").exists()


def test_reports_do_not_go_among_the_radiographs(faulty: Faulty, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    result = score(tmp_path / "in", tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "in"))
    assert result.exit_code == 2
    assert faulty.asked == []


def test_two_files_never_share_a_folder(faulty: Faulty, folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "chest").write_bytes(HEAD)
    result = score(folder, tmp_path / "t.csv", faulty.url, "--reports", str(tmp_path / "r"))
    assert result.exit_code == 2
    assert "'a/chest' and 'a/chest.dcm'" in result.stderr
    assert faulty.asked == []
    assert score(folder, tmp_path / "t.csv", faulty.url).exit_code == 0


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a/chest.dcm", "a/chest"),
        ("a.dcm/chest.DICOM", "a.dcm/chest"),
        ("1.2.840.113619.2.5", "1.2.840.113619.2.5"),  # without the last number, every object of a series
        ("1.2.840.dcm", "1.2.840"),
        ("chest.png", "chest.png"),
        ("a/.dcm", "a/.dcm"),
        ("..dcm", "..dcm"),  # never "." or ".."
        ("a/...dcm", "a/...dcm"),
        ("chest.dcm\n", "chest.dcm\n"),
    ],
)
def test_the_folder_of_a_file(name: str, place: str) -> None:
    assert place_of(name) == place


def test_places_that_differ_are_fine() -> None:
    check_places(["chest.png", "chest.dcm", "a/chest", "chest/chest"])
    with pytest.raises(SamePlace):
        check_places(["chest.dcm", "chest.DCM"])
