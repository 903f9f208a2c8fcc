"""Parts of a self-contained HTML document, from the macros in ``templates/document.html``."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib.figure import Figure

from models.evaluation.plots import svg

NOTICE = "Research use only. Not a medical device."
_MACROS: Final[Any] = (
    Environment(loader=PackageLoader("models.evaluation"), autoescape=True).get_template("document.html").module
)


def document(title: str, parts: Iterable[Markup]) -> Markup:
    """A whole page; the browser is told to fetch and run nothing."""
    return _part("document", title, NOTICE, parts)


def section(title: str, *parts: Markup) -> Markup:
    """A heading and what belongs to it."""
    return _part("section", title, parts)


def paragraph(text: str) -> Markup:
    """A paragraph of plain text."""
    return _part("paragraph", text)


def verdict(text: str, met: bool) -> Markup:
    """A coloured paragraph of plain text."""
    return _part("verdict", text, met)


def definitions(pairs: Iterable[tuple[str, str]]) -> Markup:
    """A list of labels, each with its text."""
    return _part("definitions", pairs)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table with plain text in its cells."""
    return _part("table", header, rows)


def plot(figure: Figure, caption: str) -> Markup:
    """A figure as inline SVG."""
    return _part("plot", svg(figure), caption)


def picture(source: str, caption: str) -> Markup:
    """A picture from a data URI."""
    return _part("picture", source, caption)


def gallery(pictures: Iterable[Markup]) -> Markup:
    """Pictures side by side."""
    return _part("gallery", pictures)


def _part(macro: str, *arguments: object) -> Markup:
    found: Markup = getattr(_MACROS, macro)(*arguments)
    return found
