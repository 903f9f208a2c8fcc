"""Reading the upload of a request: by a real application, and message by message."""

import asyncio
import builtins
import gzip
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import imagecodecs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from app.errors import EmptyFile, InvalidParameter, NoFile, Problem, UnsupportedFormat, UploadTooLarge
from app.intake import read_upload
from app.intake.body import MAX_PARTS, MULTIPART_ROOM
from tests.support.samples import chest, save

LIMIT = 300_000
PICTURE = bytes(range(256)) * 200
FORM = "multipart/form-data; boundary=XX"


async def _answer(request: Request) -> Response:
    try:
        return Response(bytes(await read_upload(request, LIMIT)))
    except Problem as problem:
        return Response(problem.detail, problem.status, {"x-code": problem.code})


def _post(**request: Any) -> httpx.Response:
    """One POST to a Starlette application."""

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=[Route("/", _answer, methods=["POST"])]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/", **request)

    return asyncio.run(call())


class Wire:
    """An ASGI receive channel that counts the messages taken from it."""

    def __init__(self, chunks: Iterable[bytes], ends: bool = True) -> None:
        self.chunks, self.ends, self.taken = iter(chunks), ends, 0

    async def receive(self) -> dict[str, Any]:
        self.taken += 1
        for chunk in self.chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.request", "body": b""} if self.ends else {"type": "http.disconnect"}


def _read(wire: Wire, **headers: str) -> bytearray:
    """``read_upload`` on a bare scope; header names with _ for -."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    return asyncio.run(read_upload(Request(scope, wire.receive), LIMIT))


def _part(name: str, data: bytes, boundary: str = "XX") -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n\r\n'
    return head.encode() + data + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--XX--\r\n"


def test_a_form_sent_by_a_client() -> None:
    files = {"note": ("n.txt", b"dropped"), "file": ("chest.png", PICTURE, "text/html")}
    answer = _post(files=files, data={"field": "value"})
    assert (answer.status_code, answer.content) == (200, PICTURE)


@pytest.mark.parametrize("media_type", ["image/png", "application/x-www-form-urlencoded", "nonsense;;", ""])
def test_a_raw_body_of_any_type(media_type: str) -> None:
    answer = _post(content=PICTURE, headers={"content-type": media_type})
    assert (answer.status_code, answer.content) == (200, PICTURE)


def test_a_chunked_raw_body() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(PICTURE), 1000):
            yield PICTURE[start : start + 1000]

    assert _post(content=chunks()).content == PICTURE


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_a_form_cut_anywhere(step: int) -> None:
    picture = PICTURE[:3000] + b"\r\n--X\r\n--XY\r\n--X"
    body = _form(_part("other", b"abc"), _part("file", picture))
    wire = Wire(body[start : start + step] for start in range(0, len(body), step))
    assert _read(wire, content_type=FORM) == picture


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", NoFile),
        (_form(), NoFile),
        (_form(_part("image", PICTURE)), NoFile),
        (_form(_part("file", b"")), EmptyFile),
        (_form(_part("file", b"a"), _part("file", b"b")), InvalidParameter),
        (_part("file", PICTURE), InvalidParameter),
        (b"no form at all", InvalidParameter),
        (_form(*[_part(f"p{n}", b"") for n in range(MAX_PARTS + 1)]), InvalidParameter),
        (b"--XX\r\nA: " + b"x" * 9000 + b"\r\n\r\n--XX--", InvalidParameter),
        (b"--XX\r\n" + b"A: b\r\n" * 99 + b"\r\n--XX--", InvalidParameter),
        (_form(_part("file", b"\r\n--XXx" * 1000)), InvalidParameter),
        (_form(_part("file", bytes(LIMIT + 1))), UploadTooLarge),
        (_form(_part("other", bytes(LIMIT)), _part("file", b"x")), UploadTooLarge),
        (_form(_part("file", b"x")) + bytes(LIMIT + MULTIPART_ROOM), UploadTooLarge),
    ],
    ids=[
        "nothing",
        "no part",
        "a part of another name",
        "an empty file",
        "two files",
        "no end",
        "no form",
        "too many parts",
        "a giant header",
        "many headers",
        "boundaries that are almost right",
        "a large file",
        "a large other part",
        "a large epilogue",
    ],
)
def test_forms_that_are_refused(body: bytes, problem: type[Problem]) -> None:
    with pytest.raises(problem):
        _read(Wire([body]), content_type=FORM)


PREAMBLES = {
    "a sentence": b"This is a message with multiple parts in MIME format.\r\n",
    "empty lines": b"\r\n\r\n",
    "beginnings of a boundary": b"--X\r\n --XX\r\nA: b\r\n\r\n-\r\n-",
    "other boundaries": b"\r\n".join([b"--XY"] * 40),
    "every byte": bytes(range(256)) * 300,
}


@pytest.mark.parametrize("step", [1, 7, 10**6])
@pytest.mark.parametrize("preamble", PREAMBLES.values(), ids=PREAMBLES)
def test_text_before_the_first_boundary_is_dropped(preamble: bytes, step: int) -> None:
    body = preamble + b"\r\n" + _form(_part("other", b"abc"), _part("file", PICTURE[:500])) + b"\r\nan epilogue"
    wire = Wire(body[start : start + step] for start in range(0, len(body), step))
    assert _read(wire, content_type=FORM) == PICTURE[:500]


@pytest.mark.parametrize("preamble", [b"", b"text\r\n"])
def test_as_many_parts_as_there_may_be(preamble: bytes) -> None:
    parts = [_part(f"p{number}", b"") for number in range(MAX_PARTS - 1)]
    assert _read(Wire([preamble + _form(*parts, _part("file", b"x"))]), content_type=FORM) == b"x"
    with pytest.raises(InvalidParameter, match="parts"):
        _read(Wire([preamble + _form(*parts, _part("p", b""), _part("file", b"x"))]), content_type=FORM)


def _refusal(body: bytes, **headers: str) -> str:
    with pytest.raises(UnsupportedFormat) as caught:
        _read(Wire([body]), **headers)
    return caught.value.detail


ENCODED = {
    "gzip": gzip.compress(PICTURE),
    "deflate": zlib.compress(PICTURE),
    "br": imagecodecs.brotli_encode(PICTURE),
    "zstd": imagecodecs.zstd_encode(PICTURE),
}


@pytest.mark.parametrize("form", [False, True])
@pytest.mark.parametrize("coding", ENCODED)
def test_an_encoded_body_is_refused_by_the_name_of_its_encoding(coding: str, form: bool) -> None:
    detail = _refusal(ENCODED[coding], content_encoding=coding.upper(), **({"content_type": FORM} if form else {}))
    assert f"The Content-Encoding {coding} is not decoded" in detail
    assert "send the file's own bytes" in detail


@pytest.mark.parametrize("coding", ["identity", "gzip", "utf-8", "deflate, br", ""])
def test_a_readable_body_is_read_whatever_it_declares(coding: str) -> None:
    png = save(chest(), "PNG")
    headers = {"content_encoding": coding, "content_type": "multipart/related; boundary=XX"}
    assert _read(Wire([png]), **headers) == png
    assert _read(Wire([_form(_part("file", png))]), **{**headers, "content_type": FORM}) == png


def test_multipart_of_another_kind_is_told_what_to_send() -> None:
    body = b"a preamble\r\n--XX\r\nContent-Type: application/dicom\r\n\r\n" + PICTURE + b"\r\n--XX--"
    for kind in ("related", "mixed"):
        assert "multipart/form-data" in _refusal(body, content_type=f'multipart/{kind}; boundary="XX"')


def test_dicomweb_is_told_where_to_send() -> None:
    body = b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + PICTURE + b"\r\n--XX--"
    detail = _refusal(body, content_type='Multipart/Related; type="application/dicom"; boundary=XX')
    assert "DICOMweb (STOW-RS) goes to the edge to a PACS, its port 8042, /dicom-web/studies" in detail
    assert "send the file's own bytes, as the raw body or as the part 'file' of a form" in detail
    assert "DICOMweb" not in _refusal(body, content_type="multipart/mixed; boundary=XX")


def test_a_form_of_another_boundary_is_told_so() -> None:
    with pytest.raises(InvalidParameter, match="boundary that its Content-Type names"):
        _read(Wire([_form(_part("file", b"x")).replace(b"XX", b"YY")]), content_type=FORM)


@pytest.mark.parametrize("media_type", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 999])
def test_a_form_without_a_usable_boundary(media_type: str) -> None:
    with pytest.raises(InvalidParameter):
        _read(Wire([_form(_part("file", b"x"))]), content_type=media_type)


def test_an_empty_raw_body() -> None:
    with pytest.raises(EmptyFile):
        _read(Wire([]))
    assert _post(content=b"").headers["x-code"] == "empty_file"


def test_a_file_of_just_the_limit() -> None:
    full = bytes(LIMIT)
    assert _read(Wire([full]), content_length=str(LIMIT)) == full
    assert _read(Wire([_form(_part("file", full))]), content_type=FORM) == full


@pytest.mark.parametrize("headers", [{}, {"content_type": FORM}])
def test_a_declared_length_over_the_limit_is_refused_unread(headers: dict[str, str]) -> None:
    wire = Wire([b"x"])
    with pytest.raises(UploadTooLarge):
        _read(wire, content_length=str(LIMIT + MULTIPART_ROOM + 1), **headers)
    assert wire.taken == 0


@pytest.mark.parametrize("form", [False, True])
def test_a_body_without_length_is_stopped_where_it_passes_the_limit(form: bool) -> None:
    head = [_part("file", b"")[:-2]] if form else []
    wire = Wire(head + [bytes(10_000)] * 1000)
    with pytest.raises(UploadTooLarge):
        _read(wire, **({"content_type": FORM} if form else {}))
    assert wire.taken <= LIMIT // 10_000 + 2


@pytest.mark.parametrize("length", ["-5", "abc", "", "\u00b2", "9" * 5000])
def test_an_unusable_length_is_no_length(length: str) -> None:
    assert _read(Wire([b"x"]), content_length=length) == b"x"


@pytest.mark.parametrize("headers", [{}, {"content_type": FORM}])
def test_a_client_that_leaves(headers: dict[str, str]) -> None:
    with pytest.raises(ClientDisconnect):
        _read(Wire([b"--XX\r\n"], ends=False), **headers)


def test_nothing_is_written_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    large = bytes(LIMIT)
    assert _read(Wire([_form(_part("file", large))]), content_type=FORM) == large


@given(st.lists(st.binary(max_size=200) | st.sampled_from([b"--XX", b"\r\n", b"--", _part("file", b"p")]), max_size=8))
@settings(max_examples=100)
def test_any_form_gives_bytes_or_a_problem_of_the_clients(chunks: list[bytes]) -> None:
    try:
        assert _read(Wire(chunks), content_type=FORM)
    except Problem as problem:
        assert problem.status < 500
