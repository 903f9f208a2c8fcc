"""Reads the uploaded bytes of a request. They stay in memory and are never written to disk."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.errors import EmptyFile, InvalidParameter, NoFile, Problem, UnsupportedFormat, UploadTooLarge
from app.intake.sniff import sniff
from app.intake.wrappings import advice_by_headers

FILE_PART: Final = "file"
MAX_PARTS: Final = 32
MAX_PART_HEADERS: Final = 16
MAX_HEADER_BYTES: Final = 4096
# Boundaries and part headers come on top of the file's own bytes.
MULTIPART_ROOM: Final = 64 * 1024
_FORM: Final = b"multipart/form-data"
_TOO_MANY_PARTS: Final = f"A form may have {MAX_PARTS} parts at most"


async def read_upload(request: Request, max_bytes: int) -> bytearray:
    """The part ``file`` of a multipart form, or the raw body of any other request.

    The limit holds while the body streams in: a body whose declared length exceeds it is refused unread, and a chunked
    body is refused as soon as it exceeds it. The declared content type decides only whether the body is a form. For a
    body of no known format, it and the declared encoding tell what is wrong.

    Args:
        request: its body must not have been read yet.
        max_bytes: for the raw body, or for all parts of a form together.

    Raises:
        NoFile: a form without a part ``file``.
        EmptyFile: zero bytes, in the part or in the raw body.
        InvalidParameter: a malformed form, too many parts, or more than one part ``file``.
        UploadTooLarge: more than ``max_bytes``.
        UnsupportedFormat: a body of no known format that its headers declare as encoded or as another multipart type.
        starlette.requests.ClientDisconnect: the client went away.
    """
    media_type, _ = parse_options_header(request.headers.get("content-type"))
    if media_type == _FORM:
        (upload,) = await read_parts(request, (FILE_PART,), max_bytes)
        return upload
    if _declared_length(request) > max_bytes:
        _refuse_size(max_bytes)
    advice = _advice(request, media_type)
    async with aclosing(request.stream()) as stream:
        upload = await _read_raw(stream, max_bytes)
    if advice and not _is_known(upload):
        raise UnsupportedFormat(advice)
    return upload


async def read_parts(request: Request, names: Sequence[str], max_bytes: int) -> list[bytearray]:
    """The parts of a multipart form with these names, in their order.

    Args:
        request: its body must not have been read yet.
        max_bytes: for all parts of the form together.

    Raises:
        NoFile: the body is no form, or lacks one of the parts.
        EmptyFile, InvalidParameter, UploadTooLarge, UnsupportedFormat, ClientDisconnect: as ``read_upload``.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != _FORM:
        raise NoFile(f"Send a form (multipart/form-data) with the parts {' and '.join(map(repr, names))}")
    if _declared_length(request) > max_bytes + MULTIPART_ROOM:
        _refuse_size(max_bytes)
    form = _Form(names, max_bytes)
    async with aclosing(request.stream()) as stream:
        await _read_form(stream, options.get(b"boundary", b""), form, max_bytes, _advice(request, media_type))
    return form.parts()


def _advice(request: Request, media_type: bytes) -> str | None:
    return advice_by_headers(request.headers.get("content-encoding", ""), media_type)


def _is_known(upload: bytearray) -> bool:
    """Whether the content has a format that this service reads."""
    try:
        sniff(upload)
    except UnsupportedFormat:
        return False
    return True


def _declared_length(request: Request) -> int:
    """The Content-Length, or 0 where it is absent or not a number."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0


def _refuse_size(max_bytes: int) -> NoReturn:
    raise UploadTooLarge(f"An upload may have {max_bytes} bytes at most")


async def _read_raw(stream: AsyncGenerator[bytes, None], max_bytes: int) -> bytearray:
    """The whole body; raises UploadTooLarge or EmptyFile."""
    body = bytearray()
    async for chunk in stream:
        if len(body) + len(chunk) > max_bytes:
            _refuse_size(max_bytes)
        body += chunk
    if not body:
        raise EmptyFile("The request has no body")
    return body


async def _read_form(
    stream: AsyncGenerator[bytes, None], boundary: bytes, form: "_Form", max_bytes: int, advice: str | None
) -> None:
    """Fills ``form``; raises as ``read_upload``, with ``advice`` where the body contains no boundary."""
    if not boundary:
        raise InvalidParameter("multipart/form-data without a boundary in its Content-Type")
    received = delimiters = 0
    try:
        parser = form.parser(boundary)
        # The parser refuses text before the first boundary, which RFC 2046, 5.1.1, allows: an extra part collects it.
        parser.write(b"--" + boundary + b"\r\n\r\n\r\n")
        async for chunk in stream:
            received += len(chunk)
            if received > max_bytes + MULTIPART_ROOM:
                _refuse_size(max_bytes)
            # The parser takes microseconds for each delimiter, even an incomplete one: a body full of them would
            # block the event loop for minutes.
            delimiters += chunk.count(b"\r\n--" + boundary)
            if delimiters > MAX_PARTS + 1:
                raise InvalidParameter(_TOO_MANY_PARTS)
            parser.write(chunk)
    except FormParserError as error:
        raise InvalidParameter("The multipart form is malformed") from error
    if received and not form.complete:
        raise _unfinished(form, advice)


def _unfinished(form: "_Form", advice: str | None) -> Problem:
    """The problem to answer for a form without its closing boundary."""
    if form.has_parts():
        return InvalidParameter("The multipart form ends before its closing boundary")
    if advice:
        return UnsupportedFormat(advice)
    return InvalidParameter("The body has no line with the boundary that its Content-Type names")


class _Form:
    """Keeps the bytes of the parts with certain names; counts and drops those of every other part.

    Attributes:
        complete: whether the closing boundary was seen.
    """

    def __init__(self, names: Sequence[str], max_bytes: int) -> None:
        self.complete = False
        self._names = names
        self._found: dict[str, bytearray] = {}
        self._max_bytes = max_bytes
        self._size = 0
        # The extra part before the first boundary does not count.
        self._parts = -1
        self._part: bytearray | None = None
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""

    def parser(self, boundary: bytes) -> MultipartParser:
        """A parser that feeds this form; raises FormParserError for an impossible boundary."""
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def parts(self) -> list[bytearray]:
        """The bytes of each part, in the order of the names; raises NoFile or EmptyFile."""
        for name in self._names:
            if name not in self._found:
                raise NoFile(f"The form has no part named {name!r}")
            if not self._found[name]:
                raise EmptyFile(f"The part {name!r} has no bytes")
        return [self._found[name] for name in self._names]

    def has_parts(self) -> bool:
        """Whether a boundary was seen."""
        return self._parts > 0

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidParameter(_TOO_MANY_PARTS)
        self._part = None
        self._disposition = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += memoryview(data)[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += memoryview(data)[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("latin-1")
        if name not in self._names:
            return
        if name in self._found:
            raise InvalidParameter(f"More than one part named {name!r}; send one radiograph in each")
        self._part = self._found[name] = bytearray()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._max_bytes:
            _refuse_size(self._max_bytes)
        if self._part is not None:
            self._part += memoryview(data)[start:end]

    def _end(self) -> None:
        self.complete = True
