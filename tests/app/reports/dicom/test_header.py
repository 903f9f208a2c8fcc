"""What reports take over from a radiograph's header."""

import logging
import warnings
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag

from app.errors import UnsupportedDicom
from app.reports.dicom.header import UNKNOWN_DATE, UNKNOWN_TIME, read_header
from tests.support.reports import HEIGHT, WIDTH, WRITERS, bare_source, case_of, full_source

IDENTIFIERS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]


def written(kind: str, source: Dataset) -> Dataset:
    return dcmread(BytesIO(WRITERS[kind](case_of(source))))


def as_read(source: Dataset) -> Dataset:
    """As it comes from a file: values are bytes until somebody asks."""
    buffer = BytesIO()
    dcmwrite(buffer, source, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return dcmread(buffer, force=True)


@pytest.mark.parametrize("keyword", IDENTIFIERS)
@pytest.mark.parametrize("value", [None, "", "not a UID", "1.2." * 20 + "1"])
def test_an_identifier_that_is_not_there_is_named(keyword: str, value: str | None) -> None:
    with pytest.raises(UnsupportedDicom, match=rf"no valid {keyword}$"):
        read_header(full_source(**{keyword: value}), HEIGHT, WIDTH)


def test_an_identifier_that_archives_have_though_it_breaks_the_rules() -> None:
    study = "1.2.003.4"
    assert written("report", full_source(StudyInstanceUID=study)).StudyInstanceUID == study


@pytest.mark.parametrize("kind", WRITERS)
def test_in_the_radiographs_study(kind: str) -> None:
    source = full_source(PatientWeight="82.5", PregnancyStatus=4)
    report = written(kind, source)
    for keyword in (
        "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber",
        "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
        "PatientWeight", "PregnancyStatus", "ReferringPhysicianName", "SpecificCharacterSet", "TimezoneOffsetFromUTC",
    ):  # fmt: skip
        assert report[keyword].value == source[keyword].value, keyword
    assert report.SeriesInstanceUID != source.SeriesInstanceUID
    assert report.SOPInstanceUID != source.SOPInstanceUID


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Röntgen^Wilhelm"),
        ("ISO_IR 192", "Рентген^Вильгельм=威廉"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_keep_their_bytes(kind: str, charset: str | list[str], name: str) -> None:
    source = as_read(full_source(SpecificCharacterSet=charset, PatientName=name))
    before = bytes(source.get_item("PatientName").value)
    report = dcmread(BytesIO(WRITERS[kind](case_of(source))))
    assert bytes(report.get_item("PatientName").value) == before
    assert str(report.PatientName) == name
    assert report.SpecificCharacterSet == charset


def test_undeclared_bytes_stay_and_are_declared() -> None:
    source = as_read(full_source(PatientName="Röntgen^Wilhelm"))
    del source.SpecificCharacterSet
    report = dcmread(BytesIO(WRITERS["report"](case_of(source))))
    assert bytes(report.get_item("PatientName").value).rstrip() == "Röntgen^Wilhelm".encode("latin-1")
    assert report.SpecificCharacterSet == "ISO_IR 100"


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_is_invented(kind: str) -> None:
    report = written(kind, bare_source())
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert not report[keyword].value, keyword
    for keyword in ("PatientAge", "StudyDescription", "PixelSpacing", "FrameOfReferenceUID", "SpecificCharacterSet"):
        assert keyword not in report, keyword
    assert not report.get("PatientOrientation")


@pytest.mark.parametrize(
    ("changes", "moment"),
    [
        ({}, ("18951108", "173112.25")),
        ({"ContentDate": None}, ("18951108", "1730")),
        ({"ContentDate": "", "AcquisitionDate": "18951109", "AcquisitionTime": "08"}, ("18951109", "08")),
        ({"ContentTime": "25:00"}, ("18951108", UNKNOWN_TIME)),
        ({"ContentDate": "18951399", "StudyDate": None, "SeriesDate": "1895.11.08"}, (UNKNOWN_DATE, UNKNOWN_TIME)),
    ],
)
def test_the_moment_is_the_images(changes: dict[str, str | None], moment: tuple[str, str]) -> None:
    header = read_header(full_source(**changes), HEIGHT, WIDTH)
    assert (header.date, header.time) == moment


@pytest.mark.parametrize("kind", WRITERS)
def test_no_name_reaches_a_log(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    source = as_read(full_source(PatientName="SECRETIVE", ReferringPhysicianName="SECRETIVE", PatientSex="SECRETIVE"))
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        WRITERS[kind](case_of(source))
    assert not [warning for warning in warned if "SECRETIVE" in str(warning.message)]
    assert "SECRETIVE" not in caplog.text


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientWeight", b"heavy"),
        ("PatientBirthDate", b"\xff\xfe"),
        ("StudyDate", b"20"),
        ("SpecificCharacterSet", b"ISO_IR 999"),
        ("ImagerPixelSpacing", b"a\\b"),
        ("PatientComments", b"x" * 70_000),
        ("PatientName", b"\xff^\x1b$B"),
    ],
)
def test_values_that_are_none_do_no_harm(kind: str, keyword: str, value: bytes) -> None:
    source = as_read(full_source())
    tag = Tag(keyword)
    source[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    report = dcmread(BytesIO(WRITERS[kind](case_of(source))))
    assert report.PatientID == "WCR-1895"
