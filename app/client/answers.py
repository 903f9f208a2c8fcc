"""An HTTP answer to a row of the table: what the service said, and nothing that it did not say."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import httpx

ZONES: Final = ("right_lower", "right_middle", "right_upper", "left_lower", "left_middle", "left_upper")
"""The service's names, which go by the patient's side, in the order of the published ``lung_segment_1..6``, which go
by the picture's: on a frontal radiograph the image-left lung is the patient's right one."""
MAX_SCORE: Final = 6
PROBLEM: Final = "application/problem+json"
FLAG_SEPARATOR: Final = ";"
_MASK_PICTURES: Final = ("lungs", "disease")
_SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


class NotTheService(Exception):
    """What answered is not the service, or another version of it that says things this program does not know."""


def report_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        NotTheService: it is none.
    """
    try:
        report = answer.json()
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise NotTheService(f"{answer.url} answered {answer.status_code} with something that is not a JSON object")
    return report


def scored_row(report: Mapping[str, Any], sha256: str) -> dict[str, str]:
    """The cells of an analysed radiograph; score and shares are empty where the service gives no score.

    Args:
        report: of ``/score`` or ``/segment``.
        sha256: of the bytes that were sent.

    Raises:
        NotTheService: a field is missing or impossible, or the answer is to other bytes.
    """
    try:
        score = _score(report["score"])
        image, quality, models = report["image"], report["quality"], report["models"]
        if image["sha256"] != sha256:
            raise NotTheService("an answer is to another file than the one that was sent")
        return {
            "score": _text(score),
            **_segments(report["zones"], score),
            "pred_time": f"{report['timings_ms']['total'] / 1000:.3f}",
            "scorable": _text(quality["scorable"]),
            "flags": FLAG_SEPARATOR.join(quality["flags"]),
            **{name: _text(report[name]) for name in ("threshold", "margin", "diseased_share", "disease_probability")},
            **{name: _text(image[name]) for name in ("format", "width", "height", "sha256")},
            "lungs_sha256": _text(models["lungs"]["sha256"]),
            "disease_sha256": _text(models["disease"]["sha256"]),
            "service": _text(models["service"]),
            "request_id": _text(report["request_id"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise NotTheService(f"an answer cannot be understood: {type(error).__name__}: {error}") from error


def refused_row(answer: httpx.Response, sha256: str) -> dict[str, str]:
    """The cells of a file that the service refused: its code and why, and no score."""
    problem = problem_of(answer)
    return {
        "scorable": _text(False),
        "error": problem_code(answer),
        "detail": str(problem.get("detail", "")),
        "sha256": sha256,
        "request_id": str(problem.get("request_id", answer.headers.get("x-request-id", ""))),
    }


def unsent_row(code: str, detail: str) -> dict[str, str]:
    """The cells of a file that was not sent, and so has no status."""
    return {"scorable": _text(False), "error": code, "detail": detail}


def problem_of(answer: httpx.Response) -> Mapping[str, Any]:
    """RFC 9457 problem details; empty where the answer carries none, as a proxy's own."""
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != PROBLEM:
        return {}
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def problem_code(answer: httpx.Response) -> str:
    """The problem's stable code, or ``http_413`` and so on for an answer without one."""
    return str(problem_of(answer).get("code") or f"http_{answer.status_code}")


def pictures_of(report: Mapping[str, Any]) -> dict[str, bytes]:
    """By file name ending, such as ``.lungs.png``: the masks and the overlay that an answer holds.

    Raises:
        NotTheService: what it holds is not a picture.
    """
    masks = report.get("masks") or {}
    named = {f".{name}": masks[name] for name in _MASK_PICTURES if name in masks}
    if report.get("overlay"):
        named[".overlay"] = report["overlay"]
    try:
        return {
            name + _SUFFIXES[picture["media_type"]]: base64.b64decode(picture["data"], validate=True)
            for name, picture in named.items()
        }
    except (KeyError, TypeError, binascii.Error) as error:
        raise NotTheService(f"a picture in an answer cannot be understood: {type(error).__name__}") from error


def _score(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SCORE):
        return value
    raise ValueError(f"{value!r} is no score")


def _segments(zones: list[dict[str, Any]], score: int | None) -> dict[str, str]:
    """Empty without a score: whoever counts shares over a threshold must not come to one that was not given."""
    if score is None:
        return {}
    shares = {zone["zone"]: float(zone["share"]) for zone in zones}
    return {f"lung_segment_{number}": f"{shares[zone]:g}" for number, zone in enumerate(ZONES, 1)}


def _text(value: object) -> str:
    """A cell: empty for null."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
