"""The edge's client of the scoring service: sends a radiograph, returns its DICOM results or why there are none."""

import http.client
import json
import re
import ssl
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from secrets import token_hex
from socket import SHUT_RDWR
from typing import Literal, get_args
from urllib.parse import urlsplit

Result = Literal["seg", "sr", "sc"]
RESULTS: tuple[Result, ...] = get_args(Result)
PATH = "/reports"
DICOM, ZIP = "application/dicom", "application/zip"
LATE = "u=6"
"""The Priority (RFC 9218) of a backlog."""
CONNECT_SECONDS = 5.0
"""Shorter than an answer may take: a service that does not accept a connection is away."""

_ADDRESS = re.compile(
    r"https?://([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?"
)
_ABOUT_THE_RADIOGRAPH = {413, 415, 422}
_ABOUT_THE_SERVICE = {401, 403, 404, 405, 406, 407, 421, 429, 431, 502, 503}


class Refused(Exception):
    """The service refused this radiograph for good; asking again would not change that.

    Attributes:
        code: of the problem, as in docs/api.md.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unanswered(Exception):
    """No answer to this radiograph, or no usable one; the radiograph may be the cause."""


class Away(Exception):
    """The service accepts nothing now: it is down, full, or not set up for us. The radiograph is not the cause.

    Attributes:
        retry_after: seconds to wait, as the service asks; 0 where it does not say.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass
class ScoringService:
    """Sends one request at a time. It follows no redirect and no proxy: a radiograph goes only to the address set.

    Attributes:
        url: http or https address of the service or of the gateway in front of it.
        key: API key; empty where none is needed.
        ca: file of certificates to trust for https; empty: the system's.
        timeout_s: longest silence while waiting for an answer.
        certificate: file with the edge's own certificate and its key, for a gateway that asks for one; empty for none.

    Raises:
        ValueError: an invalid address, or a key that no header can hold.
        OSError: the certificates cannot be read.
    """

    url: str
    key: str = field(default="", repr=False)
    ca: str = ""
    timeout_s: float = 60.0
    certificate: str = ""
    _connection: http.client.HTTPConnection | None = field(default=None, init=False, repr=False)
    _closed: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        # What http.client would refuse later, for each radiograph, is refused once, at start.
        if not _ADDRESS.fullmatch(self.url):
            raise ValueError(f"not the address of a service: {self.url}")
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise ValueError("an API key has printable ASCII characters only")
        parts = urlsplit(self.url)
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._trust = ssl.create_default_context(cafile=self.ca or None) if parts.scheme == "https" else None
        if self._trust is not None and self.certificate:
            self._trust.load_cert_chain(self.certificate)

    def ask(self, results: Sequence[Result], radiograph: bytes, late: bool = False, trace_id: str = "") -> list[bytes]:
        """Sends a DICOM radiograph; returns the DICOM objects of one analysis, in the order of ``results``.

        Args:
            late: it belongs to a backlog, so requests for new radiographs go first.
            trace_id: 32 hexadecimal digits, under which the service logs it; empty for none.

        Raises:
            Refused: the service refuses this radiograph for good.
            Unanswered: there was no usable answer; perhaps later.
            Away: the service answers nobody now.
        """
        headers = {"Accept": ZIP, "Content-Type": DICOM}
        if late:
            headers["Priority"] = LATE
        if trace_id:
            headers["traceparent"] = f"00-{trace_id}-{token_hex(8)}-01"
        try:
            path = f"{PATH}?include={','.join(results)}"
            answer, body = self._exchange("POST", path, self.timeout_s, headers, radiograph)
        except TimeoutError:
            self._must_be_ready()
            raise Unanswered(f"no answer in {self.timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(type(error).__name__) from None
        if answer.status == 200 and _media_type(answer) == ZIP:
            with suppress(zipfile.BadZipFile, KeyError), zipfile.ZipFile(BytesIO(body)) as archive:
                return [archive.read(f"{result}.dcm") for result in results]
        if answer.status == 504:
            self._must_be_ready()
        raise _problem(answer, body)

    def close(self) -> None:
        """Ends the request under way and prevents further ones; called from another thread."""
        self._closed = True
        if (connection := self._connection) is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(SHUT_RDWR)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)
            if self._trust is None
            else http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=self._trust)
        )
        self._connection = connection
        try:
            connection.connect()
        except OSError as error:
            self._connection = None
            raise Away(f"no connection: {error.strerror or type(error).__name__}") from None
        if self._closed:
            connection.close()
            raise Away("the edge is ending")
        connection.sock.settimeout(timeout_s)
        return connection

    def _exchange(
        self, method: str, path: str, timeout_s: float, headers: Mapping[str, str], radiograph: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        key = {"X-API-Key": self.key} if self.key else {}
        connection = self._connect(timeout_s)
        try:
            # A service that refuses may answer and close before it has read everything; its answer still counts.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, self._path + path, radiograph, {**headers, **key, "Connection": "close"})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            self._connection = None
            connection.close()

    def _must_be_ready(self) -> None:
        """Raises Away unless the service says that it is ready: only then the radiograph may be the cause."""
        try:
            answer, _ = self._exchange("GET", "/health/ready", CONNECT_SECONDS, {})
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"not ready: {type(error).__name__}") from None
        if answer.status != 200:
            raise Away(f"not ready: HTTP {answer.status}")


def _problem(answer: http.client.HTTPResponse, body: bytes) -> Refused | Unanswered | Away:
    """The exception for an answer without results."""
    code = _code(answer, body)
    said = f"HTTP {answer.status} {code}".rstrip()
    if answer.status in _ABOUT_THE_RADIOGRAPH and code:
        return Refused(code)
    # A success without results, or a redirect, comes from something else that listens at the address.
    if answer.status < 400 or answer.status in _ABOUT_THE_SERVICE:
        return Away(said, _retry_after(answer))
    return Unanswered(said)


def _code(answer: http.client.HTTPResponse, body: bytes) -> str:
    """The code of the service's problem; empty for an answer of something else, such as a proxy."""
    if _media_type(answer) != "application/problem+json":
        return ""
    with suppress(ValueError):
        problem = json.loads(body)
        if isinstance(problem, dict) and isinstance(code := problem.get("code"), str) and code.isidentifier():
            return code
    return ""


def _media_type(answer: http.client.HTTPResponse) -> str:
    return answer.headers.get_content_type()


def _retry_after(answer: http.client.HTTPResponse) -> float:
    """Retry-After in seconds; 0 where it is absent or a date, which RFC 9110 allows too."""
    said = answer.getheader("Retry-After", "")
    return float(said) if said.isdecimal() else 0.0
