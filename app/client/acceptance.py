"""``python -m app.client.acceptance``: judges a running service on a radiograph pack and writes an HTML report."""

import argparse
import base64
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Final

import cv2
import httpx
import numpy as np

from app.client.answers import NotTheService, problem_code, report_of
from app.client.sending import ScoreRequest, Sender, Stopped, Unanswered
from models.anatomy.severity import ZONES
from models.evaluation.command import Help, accept, add_acceptance
from models.evaluation.subjects import Subject
from models.pack import Case, PackError
from models.pixels import Mask

KEY_VARIABLE: Final = "CXR_API_KEY"
TIMEOUT_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 300.0
_ERRORS: Final = (NotTheService, PackError, Stopped, Unanswered, httpx.HTTPError, httpx.InvalidURL)


@dataclass(frozen=True, eq=False)
class RemoteAnalysis:
    """What the service said about one radiograph; see ``models.analysis.Analysis``.

    A refused radiograph has no score, the problem's code as its flag, and empty masks.
    """

    score: int | None
    shares: tuple[float, ...]
    threshold: float
    flags: tuple[str, ...]
    lungs: Mask
    disease: Mask
    score_range: tuple[int, int] | None = None
    diseased_share: float | None = None


class RemoteService:
    """The service under test; thread-safe."""

    def __init__(
        self, client: httpx.Client, threshold: float | None = None, patience: float = PATIENCE_SECONDS
    ) -> None:
        """Prepares the requests; sends none yet.

        Args:
            client: has the service's address and the key.
            threshold: sent with every radiograph; None: the service's own.
            patience: seconds to keep trying one radiograph.
        """
        parameters = {"overlay": "false", "uncertainty": "true"}
        if threshold is not None:
            parameters["threshold"] = f"{threshold:g}"
        self._client, self._threshold = client, threshold
        request = ScoreRequest("segment", parameters, patience)
        self._sender = Sender(client, request, threading.Event(), lambda trouble: None)

    def describe(self) -> dict[str, str]:
        """What ``GET /models`` says, by label.

        Raises:
            NotTheService: something else answers.
            httpx.HTTPError: nothing answers.
        """
        answer = self._client.get("models")
        said = report_of(answer)
        if answer.status_code != httpx.codes.OK:
            raise NotTheService(f"{answer.url} answered {answer.status_code} {problem_code(answer)}")
        try:
            described = {
                label: f"{card['name']}: {card['architecture']}, {card['encoder']}, sha256 {card['sha256']}"
                for label, stage in (("Stage I", "lungs"), ("Stage II", "disease"))
                for card in [said[stage]["card"]]
            }
            threshold = said["threshold"] if self._threshold is None else self._threshold
            build = f", build {said['build']}" if said.get("build") else ""
            return {
                "Service": f"{self._client.base_url}, version {said['service']}{build}",
                **described,
                "Threshold": f"{threshold:g}",
            }
        except (KeyError, TypeError) as error:
            raise NotTheService(f"{answer.url} cannot be understood: {error!r}") from error

    def analyse(self, case: Case) -> RemoteAnalysis:
        """Sends the case's file unchanged and returns the result.

        Raises:
            Stopped, Unanswered: as ``Sender.ask``.
            NotTheService: an answer that is not understood.
        """
        answer = self._sender.ask(case.file.read_bytes())
        if answer.status_code != httpx.codes.OK:
            nothing = np.zeros(case.pixels.shape, np.bool_)
            return RemoteAnalysis(None, (nan,) * len(ZONES), nan, (problem_code(answer),), nothing, nothing)
        said = report_of(answer)
        try:
            shares = {zone["zone"]: nan if zone["share"] is None else float(zone["share"]) for zone in said["zones"]}
            return RemoteAnalysis(
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
            raise NotTheService(f"an answer to {case.id} cannot be understood: {error!r}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, judges the service and returns the exit status."""
    parser = argparse.ArgumentParser("python -m app.client.acceptance", description=__doc__, formatter_class=Help)
    parser.add_argument("--url", required=True, help=f"such as http://127.0.0.1:8000; {KEY_VARIABLE} holds a key")
    parser.add_argument("--parallel", type=int, default=4, help="radiographs sent at a time")
    add_acceptance(parser)
    options = parser.parse_args(arguments)
    key = os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=options.url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
            service = RemoteService(client, options.threshold)
            return accept(options, Subject(service.describe(), service.analyse, options.parallel))
    except _ERRORS as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _score_range(uncertainty: Mapping[str, Any] | None) -> tuple[int, int] | None:
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


if __name__ == "__main__":
    sys.exit(main())
