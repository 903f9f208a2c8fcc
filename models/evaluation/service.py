"""A running service, asked over HTTP for what it says of a pack's radiographs."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import cv2
import numpy as np

from models.pack import Case
from models.pixels import Mask
from models.severity import ZONES

TIMEOUT_S = 120.0
TRIES = 5
_BUSY = frozenset({503, 504})


class ServiceError(RuntimeError):
    """The service cannot be reached, or what answered is not the service."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the service said of one radiograph; see ``models.workflow.Analysis``.

    A radiograph that it refused has no score, the problem's code as its flag, and empty masks.
    """

    score: int | None
    shares: tuple[float, ...]
    threshold: float
    flags: tuple[str, ...]
    lungs: Mask
    disease: Mask
    score_range: tuple[int, int] | None = None
    diseased_share: float | None = None


class Service:
    """One service.

    Attributes:
        url: its address, such as ``http://127.0.0.1:8000``.
        key: its API key, or nothing.
        threshold: asked for with every radiograph; None: the service's own.
    """

    def __init__(self, url: str, key: str = "", threshold: float | None = None) -> None:
        """Raises:
        ServiceError: not an HTTP address.
        """
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ServiceError(f"expected an address that starts with http:// or https://, found {url!r}")
        self.url = url.rstrip("/")
        self.key = key
        self.threshold = threshold

    def describe(self) -> dict[str, str]:
        """What ``GET /models`` says, by label.

        Raises:
            ServiceError: it does not answer as the service does.
        """
        status, said = self._ask("/models")
        try:
            if status != 200:
                raise ServiceError(f"{self.url}/models answered {status}: {said.get('code')}")
            described = {
                label: f"{card['name']}: {card['architecture']}, {card['encoder']}, sha256 {card['sha256']}"
                for label, stage in (("Stage I", "lungs"), ("Stage II", "disease"))
                for card in [said[stage]["card"]]
            }
            threshold = said["threshold"] if self.threshold is None else self.threshold
            build = f", build {said['build']}" if said.get("build") else ""
            return {
                "Service": f"{self.url}, version {said['service']}{build}",
                **described,
                "Threshold": f"{threshold:g}",
            }
        except (KeyError, TypeError) as error:
            raise ServiceError(f"{self.url}/models cannot be understood: {error!r}") from error

    def analyse(self, case: Case) -> Answer:
        """Sends the case's file as it is.

        Raises:
            ServiceError: no answer, or none that is understood; a busy service is asked again, as it says itself.
        """
        query = {"overlay": "false", "uncertainty": "true"}
        if self.threshold is not None:
            query["threshold"] = f"{self.threshold:g}"
        status, said = self._ask(f"/segment?{urllib.parse.urlencode(query)}", case.file.read_bytes())
        if status in (401, 404, 405) or status >= 500 or (status != 200 and "code" not in said):
            raise ServiceError(f"{self.url} answered {status} to {case.id}: {said.get('code')}")
        if status != 200:
            nothing = np.zeros(case.pixels.shape, np.bool_)
            return Answer(None, (nan,) * len(ZONES), nan, (str(said["code"]),), nothing, nothing)
        try:
            shares = {zone["zone"]: nan if zone["share"] is None else float(zone["share"]) for zone in said["zones"]}
            return Answer(
                score=said["score"],
                shares=tuple(shares[zone] for zone in ZONES),
                threshold=float(said["threshold"]),
                flags=tuple(said["quality"]["flags"]),
                lungs=_mask(said["masks"]["lungs"]),
                disease=_mask(said["masks"]["disease"]),
                score_range=_score_range(said["uncertainty"]),
                diseased_share=said["diseased_share"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceError(f"an answer to {case.id} cannot be understood: {error!r}") from error

    def _ask(self, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of an answer."""
        headers = {"Accept": "application/json", "Content-Type": "application/octet-stream"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        # The scheme was looked at when the address was given.
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310
        for remaining in reversed(range(TRIES)):
            status, text, wait = _send(request)
            if status not in _BUSY or not remaining:
                break
            time.sleep(wait)
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise ServiceError(f"{self.url} answered {status} with something that is not a JSON object")
        return status, said


def _send(request: urllib.request.Request) -> tuple[int, bytes, float]:
    """Status, body, and the seconds that the service asks to wait."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, answer.read(), 0.0
    except urllib.error.HTTPError as error:
        with error:
            asked = error.headers.get("Retry-After", "")
            return error.code, error.read(), float(asked) if asked.isdigit() else 1.0
    except (urllib.error.URLError, OSError) as error:
        raise ServiceError(f"{request.full_url.partition('?')[0]} does not answer: {error}") from error


def _score_range(uncertainty: dict[str, Any] | None) -> tuple[int, int] | None:
    if uncertainty is None or uncertainty["score_range"] is None:
        return None
    least, most = uncertainty["score_range"]
    return int(least), int(most)


def _mask(picture: Mapping[str, str]) -> Mask:
    coded = np.frombuffer(base64.b64decode(picture["data"], validate=True), np.uint8)
    found = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    if found is None:
        raise ValueError("a mask that is not a picture")
    return np.asarray(found > 127)
