"""Parts of a self-contained HTML document: no script, nothing fetched."""

from collections.abc import Iterable, Sequence
from html import escape

from matplotlib.figure import Figure

from models.evaluation.plots import svg

NOTICE = "Research use only. Not a medical device."
_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { margin-top: 2.4rem; border-bottom: 1px solid #ddd }
.notice { background: #fff3cd; border: 1px solid #e0c36a; padding: .5rem .8rem }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
th, td { border: 1px solid #ddd; padding: .25rem .6rem; text-align: left } th { background: #f4f4f4 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }
dt { font-weight: 600 } dd { margin: 0; overflow-wrap: anywhere }
figure { margin: 1rem 0; display: inline-block; vertical-align: top } figcaption { font-size: .85rem; max-width: 30rem }
figure svg { max-width: 100%; height: auto }
.cases figure { width: 19rem; margin-right: 1rem } .cases img { width: 100% }
.met { color: #13652d; font-weight: 600 } .missed { color: #a11212; font-weight: 600 }
@media print { h2 { break-after: avoid } figure, table { break-inside: avoid } }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page; the browser is told to fetch and run nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{_STYLE}</style></head>\n'
        f'<body><h1>{escape(title)}</h1>\n<p class="notice">{NOTICE}</p>\n' + "\n".join(parts) + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what belongs to it."""
    return "\n".join([f"<section><h2>{escape(title)}</h2>", *parts, "</section>"])


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def verdict(text: str, met: bool) -> str:
    """A coloured paragraph of plain text."""
    return f'<p class="{"met" if met else "missed"}">{escape(text)}</p>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of labels, each with its text."""
    return f"<dl>{''.join(f'<dt>{escape(label)}</dt><dd>{escape(text)}</dd>' for label, text in pairs)}</dl>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with plain text in its cells."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plot(figure: Figure, caption: str) -> str:
    """A figure as inline SVG."""
    return f"<figure>{svg(figure)}<figcaption>{escape(caption)}</figcaption></figure>"


def picture(source: str, caption: str) -> str:
    """A picture from a data URI."""
    return f'<figure><img src="{source}" alt=""><figcaption>{escape(caption)}</figcaption></figure>'
