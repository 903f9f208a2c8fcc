"""Which images the edge sends: those that the service takes for radiographs of a chest."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.intake.dicom import body_parts
from app.settings import Settings
from tests.support import ROOT

EDGE = ROOT / "docker" / "orthanc" / "cxr_edge"
CR = "1.2.840.10008.5.1.4.1.1.1"


class Archive:
    """An archive of one instance."""

    def __init__(self, **tags: str) -> None:
        self._tags = {"Modality": "CR", **tags}

    def sop_class(self, _instance: str) -> str:
        return CR

    def tags(self, _instance: str) -> dict[str, str]:
        return self._tags


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The edge's selection, outside of Orthanc."""
    monkeypatch.setitem(sys.modules, "orthanc", ModuleType("orthanc"))
    return importlib.import_module("cxr_edge.selection")


def is_sent(edge: ModuleType, part: str, **environment: str) -> bool:
    settings: Any = edge.Settings.read(environment)
    return edge.kind(Archive(BodyPartExamined=part), settings, "1") == "radiograph"


def test_both_have_the_same_words() -> None:
    assert Path(body_parts.__file__).read_bytes() == (EDGE / "body_parts.py").read_bytes()


@pytest.mark.parametrize(
    "part", ["CHEST", "Brust", "PECHO", "poitrine", "Tórax", "T H X", "göğüs", "胸部", "", "UNKNOWN"]
)
def test_a_chest_is_sent(edge: ModuleType, part: str) -> None:
    assert is_sent(edge, part)
    assert body_parts.is_chest(part) is not False


@pytest.mark.parametrize("part", ["HAND", "C-SPINE", "t-spine", "ABDOMEN", "Brustwirbelsäule"])
def test_another_part_is_not(edge: ModuleType, part: str) -> None:
    assert not is_sent(edge, part)
    assert body_parts.is_chest(part) is False


def test_one_setting_adds_words_for_both(edge: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "kifua, isi fuba"
    monkeypatch.setenv("CXR_BODY_PARTS", words)
    settings = Settings(_env_file=None)
    for part in ("KIFUA PA", "Isifuba"):
        assert not is_sent(edge, part)
        assert is_sent(edge, part, CXR_BODY_PARTS=words)
        assert body_parts.is_chest(part, settings.body_parts)
