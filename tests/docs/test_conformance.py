"""The tables of docs/conformance.md are what the code does: each test compares one of them, in both directions."""

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias, get_args

import pytest
from pydicom import DataElement, Dataset, dcmread, uid
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.charset import convert_encodings, encode_string, python_encoding
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from app.errors import Problem, UnsupportedDicom
from app.intake import Limits
from app.intake.dicom import read_dicom
from app.intake.dicom.grayscale import Grayscale, Window
from app.intake.dicom.objects import check_object
from app.reports.dicom import coding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.header import read_header
from app.reports.dicom.presentation_state import write_presentation_state
from app.reports.fhir import FHIR, Release, write_bundle
from models import quality
from models.anatomy.uncertainty import Spread
from tests.support import ROOT
from tests.support.dicoms import SYNTAXES, dicom
from tests.support.reports import (
    HEIGHT,
    WIDTH,
    WRITERS,
    analysis,
    bare_source,
    case_of,
    full_source,
    refused,
)
from tests.support.samples import chest

PAGE: Final = (ROOT / "docs" / "conformance.md").read_text()
OBJECTS: Final = {
    "segmentation": "Segmentation",
    "report": "Structured Report",
    "capture": "Secondary Capture",
    "presentation": "Presentation State",
}
"""The writers, by the names that their tables have."""
LOSSY: Final = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "12.5",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
EVERY_FIGURE: Final = analysis(
    disease_probability=0.97, spread=Spread(scores=(1, 3), shares=((0.1, 0.4),) * 6, coverage=0.9)
)
Row: TypeAlias = tuple[str, ...]


def tables(text: str) -> list[list[Row]]:
    """The tables of a piece of the page, each as its rows with the head first."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = [[line for line in table.splitlines() if not re.fullmatch(r"[|-]+", line)] for table in found]
    return [[tuple(cell.strip() for cell in line[1:-1].split(" | ")) for line in table] for table in lines]


def table(after: str) -> list[Row]:
    """The rows below the head of the first table after a piece of text, which is on the page once."""
    assert PAGE.count(after) == 1, after
    return tables(PAGE.partition(after)[2])[0][1:]


def named(cells: Iterable[str]) -> list[str]:
    """What is in code type."""
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def keywords(rows: Iterable[Row], column: int = 0) -> set[str]:
    names = named(row[column] for row in rows)
    assert [name for name in names if tag_for_keyword(name) is None] == []
    assert len(names) == len(set(names)), "each is there once"
    return set(names)


@cache
def cases() -> Mapping[str, ReportContent]:
    return {
        "full": case_of(full_source()),
        "bare": case_of(bare_source()),
        "every figure": case_of(full_source("DX"), EVERY_FIGURE),
        "refused": case_of(full_source(), refused("not_frontal", "lungs_not_found")),
        "capture": case_of(full_source("SC of 16 bits")),
        "lossy": case_of(full_source(**LOSSY)),
    }


@cache
def written(kind: str) -> list[Dataset]:
    """An object of each case."""
    files = [WRITERS[kind](case) for case in cases().values()]
    if kind == "presentation":
        rescaled = Grayscale((2.0, -10.0), Window(2048.0, 4096.0, "LINEAR"), True, None, False)
        files.append(write_presentation_state(cases()["full"], rescaled))
    return [dcmread(BytesIO(file)) for file in files]


def full(kind: str) -> Dataset:
    return written(kind)[0]


def text_of(element: DataElement) -> str:
    return "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value)


def named_in(*files: Path) -> set[str]:
    """The DICOM keywords in the strings of source files; a colour of a palette stands for all three."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
                found.update("".join(parts).replace("{}", colour) for colour in ("Red", "Green", "Blue"))
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    # "UID" is the name of a class, too.
    return {name for name in found - {"", "UID"} if tag_for_keyword(name) is not None}


def test_it_says_first_what_it_is_for() -> None:
    assert PAGE.splitlines()[2] == "**Research use only. Not a medical device.**"


def test_sop_classes_read() -> None:
    found = set()
    for number, (name, kind, *_) in UID_dictionary.items():
        if kind == "SOP Class":
            of_other, of_radiograph = (is_read(SOPClassUID=number, Modality=modality) for modality in ("CT", "CR"))
            if of_radiograph:
                found.add((name, number, "any" if of_other else "listed"))
    assert set(table("**SOP classes read.**")) == found


def test_modalities_read() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    pairs = {first + second for first in letters for second in letters}
    prose = PAGE.partition("**SOP classes read.**")[2].partition("|")[0]
    assert set(named([prose])) == {pair for pair in pairs if is_read(Modality=pair)}
    assert is_read(Modality="dx") and is_read(SOPClassUID=uid.SecondaryCaptureImageStorage)
    assert not is_read()


def is_read(**elements: str) -> bool:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    try:
        check_object(dataset)
    except UnsupportedDicom:
        return False
    return True


def test_sop_classes_created() -> None:
    found = {
        (str(uid.UID(made.SOPClassUID).name), str(made.SOPClassUID), str(made.Modality), str(made.SeriesNumber))
        for kind in WRITERS
        for made in written(kind)
    }
    assert {row[:4] for row in table("**SOP classes created.**")} == found
    assert len(found) == len(WRITERS)


def test_transfer_syntaxes_read() -> None:
    known = {number: name for number, (name, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax"}
    found = {(name, number) for number, name in known.items() if knows_syntax(number)}
    assert set(table("**Transfer syntaxes read.**")) == found
    for syntax in SYNTAXES:
        read_dicom(dicom(chest(), syntax, 8), Limits())
    assert {number for _, number in found} == set(SYNTAXES)


def knows_syntax(syntax: str) -> bool:
    """Whether an object in this syntax is refused for another reason than the syntax, or not at all."""
    # Too short for any syntax.
    data = dicom(chest(), syntax, pixel_data=encapsulate([bytes(2)]))
    try:
        read_dicom(data, Limits())
    except UnsupportedDicom as error:
        return "transfer syntax" not in str(error)
    except Problem:
        return True
    return True


def test_transfer_syntax_written() -> None:
    said = re.search(r"\*\*Transfer syntax written\*\*.*: (.+), ([\d.]+\d)\.", PAGE)
    assert said is not None
    found = {made.file_meta.TransferSyntaxUID for kind in WRITERS for made in written(kind)}
    assert [(syntax.name, str(syntax)) for syntax in found] == [said.groups()]


def test_file_meta_information() -> None:
    found = {str(made.file_meta.ImplementationClassUID) for kind in WRITERS for made in written(kind)}
    assert len(found) == 1 and f"highdicom, {found.pop()}." in PAGE


def test_what_the_edge_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orthanc", ModuleType("orthanc"))
    edge = importlib.import_module("cxr_edge.selection")
    handled = {
        (str(uid.UID(number).name), number, yes_no(number in edge.RADIOGRAPHS), yes_no(number in edge.RESULTS))
        for number in edge.RADIOGRAPHS | edge.RESULTS
    }
    assert set(table("Of all that it receives")) == handled


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def test_the_edges_dicomweb() -> None:
    settings = (ROOT / "docker" / "orthanc" / "orthanc.json").read_text()
    (root,) = re.findall(r'"DicomWeb": \{"Enable": true, "Root": "([^"]*)"', settings)
    assert f"`{root}`" in PAGE


CHARACTER_SETS: Final = tuple(named(row[1] for row in table("These are read:")))


def test_character_sets() -> None:
    standard = re.compile(r"ISO_IR \d+|ISO 2022 IR \d+|GB18030|GBK")
    assert sorted(CHARACTER_SETS) == sorted(filter(standard.fullmatch, python_encoding))


@pytest.mark.parametrize("charset", CHARACTER_SETS)
def test_names_stay_in_their_letters(charset: str) -> None:
    declared: str | list[str] = charset
    letter = next(letter for letter in "öŁĦĸｱ山王김ЖΩאاกA" if holds(charset, letter))
    name = f"{letter}^N".encode(python_encoding[charset])
    if charset.startswith("ISO 2022"):
        declared = ["", charset]
        # pydicom writes no escape sequence for Chinese.
        name = (
            b"\x1b$)A" + name
            if charset == "ISO 2022 IR 58"
            else encode_string(f"{letter}^N", convert_encodings(declared))
        )
    name += b" " * (len(name) % 2)
    place = b"X" * len(name)
    data = dicom(chest(), SpecificCharacterSet=declared, PatientName=place.decode()).replace(place, name, 1)
    made = dcmread(BytesIO(WRITERS["report"](case_of(read_dicom(data, Limits()).source))))
    assert str(made.PatientName).endswith(f"{letter}^N")
    assert made.SpecificCharacterSet == declared


def holds(charset: str, letter: str) -> bool:
    try:
        return letter.encode(python_encoding[charset]).decode(python_encoding[charset]) == letter
    except (UnicodeError, LookupError):
        return False


def test_attributes_used() -> None:
    of_the_picture, of_results = tables(PAGE.partition("## Attributes used\n")[2])[:2]
    assert keywords(of_the_picture[1:]) == named_in(*(ROOT / "app" / "intake" / "dicom").glob("*.py"))
    folder = ROOT / "app" / "reports" / "dicom"
    used = named_in(folder / "header.py", folder / "answers.py") - copied()
    # The picture's own size, not the header's, is written.
    assert keywords(of_results[1:]) == used - {"Rows", "Columns"}


def copied() -> set[str]:
    return keywords(table("\n## Attributes copied\n"), 1)


def test_attributes_copied() -> None:
    subject = read_header(everything(), HEIGHT, WIDTH).subject
    assert copied() == {element.keyword for element in subject}
    always = named([table("\n## Attributes copied\n")[0][1]])
    assert set(always) == {element.keyword for element in read_header(bare_source(), HEIGHT, WIDTH).subject}


VALUES: Final[Mapping[str, Any]] = {
    "AE": "AE", "AS": "050Y", "CS": "M", "DA": "19000102", "DS": "1", "DT": "19000102", "IS": "1", "LO": "1",
    "LT": "1", "PN": "A^B", "SH": "1", "ST": "1", "TM": "12", "UC": "1", "UI": "1.2.3", "UR": "1", "UT": "1",
    "FD": 1.0, "FL": 1.0, "SL": 1, "SS": 1, "UL": 1, "US": 1,
}  # fmt: skip


def everything() -> Dataset:
    """A header with every element of the standard that is text, a number or a sequence."""
    source = bare_source()
    for number, (kind, *_) in DicomDictionary.items():
        tag = Tag(number)
        if 2 < tag.group < 0x7F00 and keyword_for_tag(tag) and tag not in source:
            if kind == "SQ":
                source[tag] = DataElement(tag, kind, Sequence([Dataset()]))
            elif kind in VALUES:
                source[tag] = DataElement(tag, kind, VALUES[kind])
    source.SpecificCharacterSet = "ISO_IR 100"
    return source


@pytest.mark.parametrize("kind", OBJECTS)
def test_attributes_written(kind: str) -> None:
    rows = [*table("\n**All four objects:**\n"), *table(f"\n**{OBJECTS[kind]}:**\n")]
    sometimes = keywords(row for row in rows if row[1].startswith("*if*"))
    always = keywords(row for row in rows if not row[1].startswith("*if*"))
    found = [{element.keyword for element in made} - copied() for made in written(kind)]
    assert always == set.intersection(*found)
    assert sometimes == set.union(*found) - always
    assert always >= found[0], "of a radiograph that lacks nothing"


@pytest.mark.parametrize("kind", OBJECTS)
def test_values_written(kind: str) -> None:
    for names, value in (*table("\n**All four objects:**\n"), *table(f"\n**{OBJECTS[kind]}:**\n")):
        literal = re.fullmatch(r"`([^`]+)`", value)
        for name in named([names]):
            found = [made[name] for made in written(kind) if name in made]
            if literal is not None:
                assert {text_of(element) for element in found} == {literal[1]}, name
            if value.startswith("empty"):
                assert all(element.is_empty for element in found), name
            if value == "the radiograph's" and name.endswith(("Date", "Time")):
                assert found[0].value == (full_source().ContentDate if name.endswith("Date") else "173112.25"), name


def test_nothing_private_is_written() -> None:
    made = [element for kind in WRITERS for one in written(kind) for element in one.iterall()]
    assert [element.tag for element in made if element.tag.is_private] == []


def test_codes_of_the_standards() -> None:
    rows = table("Concept names are those of the templates")
    assert set(rows) == {
        (code.value, code.scheme_designator, code.meaning)
        for code in vars(coding).values()
        if isinstance(code, Code) and code.scheme_designator != coding.SCHEME
    }


FLAGS: Final = {value for name, value in vars(quality).items() if name.isupper() and isinstance(value, str)}


def test_flags() -> None:
    refusing, others = (set(named([row[1]])) for row in table("Long Code Values. [Their"))
    assert refusing == quality.REFUSING
    assert refusing | others == FLAGS and not refusing & others


def test_codes_of_the_private_scheme() -> None:
    in_report = set(dicom_codes(element for made in written("report") for element in made.iterall()))
    in_bundles = {
        (found["code"], found["display"])
        for bundle in bundles()
        for found in objects(bundle)
        if found.get("system") == private_system() and "display" in found
    }
    rows = table("**The private scheme**")
    said = {(code, meaning): places for code, meaning, _, places in rows}
    for code, places in said.items():
        assert places == ("SR, FHIR" if code in in_report else "FHIR"), code
        assert code in in_bundles, code
    assert {code for code in in_report | in_bundles if code[0] not in FLAGS} == set(said)
    declared = {code.value for code in vars(coding).values() if isinstance(code, Code)}
    assert {code for code, _ in in_report if code not in FLAGS} <= declared


def dicom_codes(elements: Iterable[DataElement]) -> Iterator[tuple[str, str]]:
    """Value and meaning of each code of the private scheme."""
    for element in elements:
        for item in element.value if element.VR == "SQ" else ():
            if item.get("CodingSchemeDesignator") == coding.SCHEME and "CodeMeaning" in item:
                yield str(item.get("CodeValue") or item.LongCodeValue), str(item.CodeMeaning)


def test_the_scheme_is_named() -> None:
    schemes = {item.CodingSchemeDesignator for item in full("report").CodingSchemeIdentificationSequence}
    assert schemes == {coding.SCHEME} and f"is `{coding.SCHEME}`" in PAGE
    assert f"system in FHIR it is `{private_system()}`" in PAGE


def private_system() -> str:
    """The system of the code of the score."""
    observation = next(found for found in objects(bundles()[0]) if found.get("resourceType") == "Observation")
    return str(observation["code"]["coding"][0]["system"])


def groups() -> list[Dataset]:
    """The items of the content tree that follow a template."""
    return [
        item
        for element in full("report").iterall()
        if element.VR == "SQ"
        for item in element.value
        if "ContentTemplateSequence" in item
    ]


def test_templates() -> None:
    found = {f"TID {item.ContentTemplateSequence[0].TemplateIdentifier}" for item in groups()}
    assert {row[0].partition(",")[0] for row in table("and for each group:")} == found
    assert full("report").ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_value_types() -> None:
    prose = re.search(r"Value types in the content tree:\s([^.]+)\.", PAGE)
    assert prose is not None
    trees = [
        element.value for made in written("report") for element in made.iterall() if element.keyword == "ValueType"
    ]
    assert set(named([prose[1]])) == set(trees)


def test_what_ai_results_asks_for_and_is_not_there() -> None:
    rows = {row[0]: row for row in table("\n## IHE AI Results\n")}
    equipment = [item for kind in WRITERS for made in written(kind) for item in made.ContributingEquipmentSequence]
    assert {item.ManufacturerModelName for item in equipment} == {"highdicom"}
    assert not any("DeviceUID" in item for item in equipment)
    assert [row[1] for part, row in rows.items() if "Contributing Equipment" in part] == ["no"]
    trees = {element.value for element in full("report").iterall() if element.keyword == "ValueType"}
    assert not trees & {"SCOORD", "SCOORD3D"} and rows["Regions"][1] == "partly"
    assert {row[1] for row in rows.values()} == {"yes", "no", "partly"}


def test_regions_are_zones() -> None:
    classes = {
        element.value
        for item in groups()
        for element in item.iterall()
        if item.ContentTemplateSequence[0].TemplateIdentifier == "1410" and element.keyword == "ReferencedSOPClassUID"
    }
    assert uid.SegmentationStorage in classes
    referred = {element.value for element in full("report").iterall() if element.keyword == "ReferencedSOPClassUID"}
    assert referred == {uid.SegmentationStorage, uid.ComputedRadiographyImageStorage}


@cache
def bundles() -> list[dict[str, Any]]:
    return [
        json.loads(write_bundle(case, release))
        for release in get_args(Release)
        for name in ("every figure", "refused")
        for case in [cases()[name]]
    ]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


def test_fhir_resources() -> None:
    found = {one["resourceType"] for bundle in bundles() for one in objects(bundle) if "resourceType" in one}
    assert {row[0] for row in table("\n## FHIR\n")} == found
    assert not any("profile" in one.get("meta", {}) for bundle in bundles() for one in objects(bundle))


def test_fhir_systems() -> None:
    found = {one["system"] for bundle in bundles() for one in objects(bundle) if "system" in one}
    rows = tables(PAGE.partition("\n## FHIR\n")[2])[1][1:]
    assert set(named(row[0] for row in rows)) == found


def test_fhir_releases() -> None:
    prose = PAGE.partition("\n## FHIR\n")[2].partition("\n|")[0]
    assert set(named([prose])) >= {FHIR, *get_args(Release)}
    reports = {
        release: json.loads(write_bundle(cases()["full"], release))["entry"][0]["resource"]
        for release in get_args(Release)
    }
    assert reports.keys() == {"R4", "R5"}
    assert "imagingStudy" in reports["R4"] and "study" in reports["R5"]
    assert {report["status"] for report in reports.values()} == {"preliminary"}
