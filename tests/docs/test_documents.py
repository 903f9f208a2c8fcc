"""What README and docs name is there: links, anchors, files, modules, settings; and their lines are short."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.settings import Settings
from tests.support import ROOT

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
FILE = re.compile(r"(?<![\w./-])((?:app|models|tests|benchmarks|docker|docs|\.ci)/[\w./-]*\w)(?![\w/*<])")
MODULE = re.compile(r"(?:python -m|from|import) ((?:app|models|tests|benchmarks)(?:\.\w+)*)")
SETTING = re.compile(r"\bCXR_[A-Z_]*[A-Z]\b")
READERS = [
    ROOT / "docker-compose.yml",
    *ROOT.glob("docker/**/*.sh"),
    *ROOT.glob("docker/**/*.py"),
    *ROOT.glob("app/client/*.py"),
    ROOT / "setup.py",
    ROOT / "Makefile",
]
"""Of variables that are none of the service's settings."""
BUILT = ("docker/requirements",)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_of(page: Path) -> str:
    return "\n".join(CODE.findall(page.read_text()))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found: set[str] = set()
    for heading in HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(anchor if anchor not in found else f"{anchor}-1")
    return found


def dead_links(page: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in (first or second for first, second in LINK.findall(text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            yield target


@pages
def test_links_lead_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


@pages
def test_files_and_modules_are_there(page: Path) -> None:
    code = code_of(page)
    files = [name for name in FILE.findall(code) if not name.startswith(BUILT) and not (ROOT / name).exists()]
    modules = [name for name in MODULE.findall(code) if find_spec(name) is None]
    assert (files, modules) == ([], [])


@pages
def test_settings_are_there(page: Path) -> None:
    known = {f"CXR_{name.upper()}" for name in Settings.model_fields}
    known.update(name for reader in READERS for name in SETTING.findall(reader.read_text()))
    assert set(SETTING.findall(page.read_text())) - known == set()


@pages
def test_lines_end_at_120(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL).splitlines()
    long = [line for line in prose if len(line) > 120 and not line.startswith("|") and " " in line[:120]]
    assert [line for line in long if not re.match(r"\s*(- )?\S*(\]\(|https?://)", line)] == []


@pages
def test_no_merge_was_left_half_done(page: Path) -> None:
    assert not re.search(r"^(<{7}|>{7}) ", page.read_text(), re.MULTILINE)
