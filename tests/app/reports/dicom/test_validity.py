"""What is written, by the rules of the standard: David Clunie's dciodvfy (Debian's dicom3tools) finds no error."""

import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.support.programs import program
from tests.support.reports import SOURCES, WRITERS, analysis, bare_source, case_of, full_source, refused

KANJI = {
    "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "StudyDescription": "胸部",
}
HEADERS = {
    "Latin-1": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Röntgen^Wilhelm", "StudyDescription": "Größe"},
    "UTF-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Рентген^Вильгельм=威廉"},
    "Japanese": KANJI,
    "undeclared Latin-1": {"SpecificCharacterSet": None, "PatientName": "Röntgen^Wilhelm"},
    "no name": {"PatientName": None},
    "an empty name and study": {"PatientName": "", "StudyID": "", "StudyDate": "", "StudyTime": ""},
    "a name without a caret": {"PatientName": "ANONYMOUS"},
    "a frame of reference": {"FrameOfReferenceUID": "1.2.3.4", "PositionReferenceIndicator": ""},
    "lossy": {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "a trial": {"ClinicalTrialSponsorName": "Sponsor", "ClinicalTrialProtocolID": "P1", "ClinicalTrialSubjectID": "7"},
    "values against the rules": {
        "PatientSex": "U",
        "PatientAge": "50",
        "PatientBirthDate": "1845-03-27",
        "StudyTime": "17:30",
        "ImagerPixelSpacing": ["0", "0"],
        "PatientOrientation": "left",
    },
}
FOUND = {
    "scored": analysis(),
    "with every figure": analysis(disease_probability=0.97),
    "one zone on the threshold": analysis(threshold=0.31, flags=()),
    "refused": refused("not_frontal", "burned_in_annotation", "lungs_not_found"),
    "refused without a known reason": refused(),
}


def errors(data: bytes, folder: Path) -> list[str]:
    """What dciodvfy calls an error; its warnings are of optional things and of codes that it does not know."""
    path = folder / "written.dcm"
    path.write_bytes(data)
    command = [program("dciodvfy", "dicom3tools"), path]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = (said.stdout + said.stderr).splitlines()
    assert any(line.strip() for line in lines), "it names at least the object's kind"
    return [line for line in lines if line.startswith("Error")]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("header", [bare_source, full_source])
def test_of_each_kind_of_source(tmp_path: Path, kind: str, source: str, header: Callable[..., Dataset]) -> None:
    assert not errors(WRITERS[kind](case_of(header(source))), tmp_path)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("header", HEADERS)
def test_of_each_header(tmp_path: Path, kind: str, header: str) -> None:
    assert not errors(WRITERS[kind](case_of(full_source("DX", **HEADERS[header]))), tmp_path)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("found", FOUND)
def test_of_each_finding(tmp_path: Path, kind: str, found: str) -> None:
    assert not errors(WRITERS[kind](case_of(full_source(), FOUND[found])), tmp_path)


def test_an_error_would_be_noticed(tmp_path: Path) -> None:
    written = dcmread(BytesIO(WRITERS["capture"](case_of(full_source()))))
    del written.ConversionType
    buffer = BytesIO()
    written.save_as(buffer)
    assert errors(buffer.getvalue(), tmp_path)
