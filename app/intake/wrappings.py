"""Advice for uploads that wrap a file in something else: what to send instead, or where.

Nothing is unwrapped: a body is the file's own bytes, or a form with the file as a part.
"""

import re
from typing import Final

_INSTEAD: Final = "send the file's own bytes, as the raw body or as the part 'file' of a form (multipart/form-data)"
_CODINGS: Final = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress")
_MULTIPART: Final = "A multipart body is read only as multipart/form-data"
_DICOMWEB: Final = "DICOMweb (STOW-RS) goes to the edge to a PACS, its port 8042, /dicom-web/studies (docs/pacs.md)"
# More letters than any word has.
_LEAST_BASE64: Final = 64

_PATTERNS: Final = (
    (re.compile(rb'[\[{]\s*(?:["\[\]{}\d-]|true|false|null)'), "JSON is not read"),
    (re.compile(rb"--[^\r\n]{1,70}\r?\n[!-9;-~]+:"), _MULTIPART),
)
_BASE64: Final = re.compile(rb'"?(data:[^,"]*;base64,)?([A-Za-z0-9+/_-]*)={0,2}"?')


def advice_by_content(head: bytes) -> str | None:
    """Advice on a file of unknown format that begins with ``head``; None where there is none."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, what in _PATTERNS:
        if pattern.match(text):
            return f"{what}; {_INSTEAD}"
    found = _BASE64.fullmatch(b"".join(text.splitlines()))
    if found and (found[1] or len(found[2]) >= _LEAST_BASE64):
        return f"Base64 is not read; {_INSTEAD}"
    return None


def advice_by_headers(encoding: str, media_type: bytes) -> str | None:
    """The same from the request's Content-Encoding and media type; used only where the content is unknown."""
    names = {name.strip().lower() for name in encoding.split(",")}
    for coding in _CODINGS:
        if coding in names:
            return f"The Content-Encoding {coding} is not decoded; {_INSTEAD}"
    if media_type == b"multipart/related":
        return f"{_MULTIPART}. {_DICOMWEB}. Here, {_INSTEAD}"
    if media_type.startswith(b"multipart/") and media_type != b"multipart/form-data":
        return f"{_MULTIPART}; {_INSTEAD}"
    return None
