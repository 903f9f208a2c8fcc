"""Sends one radiograph to the service, and tries again for as long as patience lasts."""

import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx

from app.client.answers import problem_code, problem_of

RETRIED: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""These say that the service is busy or unreachable now; the same file may be answered later."""
USELESS: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    }
)
"""These reject the key, the address or the parameters, so every other file would be refused too."""
BULK: Final = "u=6"
"""Less urgent than what people wait for (RFC 9218)."""
INVALID_PARAMETER: Final = "invalid_parameter"
FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 30.0
HEALTH_SECONDS: Final = 10.0
READY_PATH: Final = "health/ready"


class Stopped(Exception):
    """No further file can be answered, or the user has interrupted."""


class Unanswered(Exception):
    """Patience ended for one file, but the service is ready for others."""


@dataclass(frozen=True)
class ScoreRequest:
    """The request that is sent for each radiograph.

    Attributes:
        path: of the route, such as ``score``.
        parameters: of the query.
        patience: seconds to keep trying one radiograph, from its first failure on.
        accept: the media type that is asked for.
    """

    path: str
    parameters: dict[str, str]
    patience: float
    accept: str = "*/*"


class Sender:
    """Sends one radiograph at a time; thread-safe."""

    def __init__(
        self, client: httpx.Client, request: ScoreRequest, stop: threading.Event, tell: Callable[[str], None]
    ) -> None:
        """Prepares the sender; ``ask`` sends.

        Args:
            client: has the service's address and the key.
            stop: ends every wait.
            tell: called before each retry, with a few words for people on what failed.
        """
        self._client, self._request, self._stop, self._tell = client, request, stop, tell
        self._random = random.SystemRandom()

    def ask(self, radiograph: bytes, more: Mapping[str, str] | None = None) -> httpx.Response:
        """Sends a radiograph; returns an analysis, or a refusal that would be the same next time.

        Tries again after 429, 502, 503, 504 and lost connections for as long as patience lasts. Each wait is as long as
        ``Retry-After`` or, if longer, 1, 2, 4 … 30 s, plus up to a quarter at random.

        Args:
            more: parameters for this radiograph, besides those of the request.

        Raises:
            Unanswered: patience ended, although the service says that it is ready.
            Stopped: patience ended and the service is not ready; or it would refuse every file; or ``stop`` was set.
        """
        parameters = {**self._request.parameters, **(more or {})}
        headers = {"Accept": self._request.accept, "Priority": BULK}
        tries, until = 0, 0.0
        while not self._stop.is_set():
            asked = 0.0
            try:
                answer = self._client.post(self._request.path, params=parameters, headers=headers, content=radiograph)
            except httpx.TransportError as error:
                _refuse_untrusted(error)
                trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            else:
                if answer.status_code not in RETRIED:
                    _refuse_useless(answer)
                    return answer
                trouble, asked = problem_code(answer), retry_after(answer.headers.get("retry-after", ""))
            until = until or time.monotonic() + self._request.patience
            wait = max(asked, min(FIRST_WAIT_SECONDS * 2**tries, LONGEST_WAIT_SECONDS))
            wait += self._random.uniform(0, wait / 4)
            tries += 1
            if time.monotonic() + wait > until:
                self._give_up(trouble)
            self._tell(trouble)
            self._stop.wait(wait)
        raise Stopped("interrupted")

    def _give_up(self, trouble: str) -> None:
        """Raises Unanswered if the service is ready, so that only this radiograph fails, else Stopped."""
        try:
            ready = self._client.get(READY_PATH, timeout=HEALTH_SECONDS).status_code == HTTPStatus.OK
        except httpx.TransportError:
            ready = False
        if ready:
            raise Unanswered(trouble)
        raise Stopped(f"the service has not answered for {self._request.patience:g} s: {trouble}")


def retry_after(value: str) -> float:
    """The seconds in a ``Retry-After`` header (RFC 9110, 10.2.3: seconds or a date); 0 for an empty or invalid one."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _refuse_useless(answer: httpx.Response) -> None:
    """Raises Stopped for a refusal that every other file would get too."""
    code = problem_code(answer)
    if answer.is_redirect or answer.status_code in USELESS or code == INVALID_PARAMETER:
        raise Stopped(f"{answer.url.path}: {answer.status_code} {code} {problem_of(answer).get('detail', '')}".rstrip())


def _refuse_untrusted(error: BaseException) -> None:
    """Raises Stopped where the service's certificate is not trusted, as trying again would not change that."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Stopped(f"the service's certificate is not trusted: {cause.verify_message}") from error
        cause = cause.__cause__ or cause.__context__
