"""A steady load on a gateway: requests go out by the clock, whatever became of those before."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import quantiles

import httpx

from models.phantom import draw_phantom
from tests.support.pictures import encoded

PATIENCE = 120.0
MANY = 256
"""Requests that may be open at once."""


@dataclass(frozen=True)
class Asked:
    """A radiograph and what it has to score."""

    upload: bytes
    score: int


@dataclass(frozen=True)
class Outcome:
    """One request: what came of it and when.

    Attributes:
        status: None where the connection broke.
        right: whether the score is the radiograph's.
    """

    at: float
    seconds: float
    status: int | None
    right: bool
    retry_after: str | None
    detail: str = ""


@dataclass
class Load:
    """Requests at a steady rate until it is stopped."""

    url: str
    asked: Sequence[Asked]
    rate: float
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        limits = httpx.Limits(max_connections=MANY, max_keepalive_connections=MANY)
        self._client = httpx.Client(base_url=self.url, timeout=PATIENCE, limits=limits)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def wait_for(self, seconds: float) -> None:
        """Lets the load go on for so long: the passing of time is what is wanted."""
        self._stop.wait(seconds)

    def _run(self) -> None:
        with ThreadPoolExecutor(MANY) as pool:
            started, number = time.monotonic(), 0
            while not self._stop.wait(max(started + number / self.rate - time.monotonic(), 0)):
                pool.submit(self._ask, self.asked[number % len(self.asked)])
                number += 1

    def _ask(self, asked: Asked) -> None:
        at = time.monotonic()
        try:
            answer = self._client.post("/score?overlay=false", content=asked.upload)
        except httpx.TransportError as error:
            self.outcomes.append(Outcome(at, time.monotonic() - at, None, False, None, type(error).__name__))
            return
        seconds = time.monotonic() - at
        right = answer.status_code == httpx.codes.OK and answer.json()["score"] == asked.score
        detail = "" if right else answer.text[:300]
        self.outcomes.append(Outcome(at, seconds, answer.status_code, right, answer.headers.get("retry-after"), detail))

    def statuses(self) -> Counter[int | None]:
        """How many of each status."""
        return Counter(outcome.status for outcome in self.outcomes)

    def p99(self) -> float:
        """Seconds, of the answered ones."""
        seconds = [outcome.seconds for outcome in self.outcomes if outcome.right]
        return quantiles(seconds, n=100, method="inclusive")[98]


def radiographs(url: str) -> list[Asked]:
    """Phantoms with disease in different zones, and what a healthy service scores them."""
    asked = []
    for zones in ((), ("right_lower",), ("right_lower", "left_lower"), ("right_upper", "right_middle", "left_lower")):
        upload = encoded(draw_phantom(512, zones), ".jpg")
        score = httpx.post(f"{url}/score?overlay=false", content=upload, timeout=PATIENCE).json()["score"]
        asked.append(Asked(upload, score))
    return asked
