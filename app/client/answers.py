"""Turns an HTTP answer into a row of the table, which holds only what the service said."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import httpx

ZONES: Final = ("right_lower", "right_middle", "right_upper", "left_lower", "left_middle", "left_upper")
"""The service's zones in the order of the published ``lung_segment_1..6``.

The service names sides of the patient, the published tables sides of the picture. On a frontal radiograph the lung on
the picture's left is the patient's right one.
"""
MAX_SCORE: Final = 6
PROBLEM: Final = "application/problem+json"
FLAG_SEPARATOR: Final = ";"
_MASK_PICTURES: Final = ("lungs", "disease")
_SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


class NotTheService(Exception):
    """The answer is not from the service, or from a version of it that this program does not understand."""


def report_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer.

    Raises:
        NotTheService: the answer is not a JSON object.
    """
    try:
        report = answer.json()
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise NotTheService(f"{answer.url} answered {answer.status_code} with something that is not a JSON object")
    return report


def scored_row(report: Mapping[str, Any], sha256: str) -> dict[str, str]:
    """The cells for an analysed radiograph; score and shares are empty where the service gives no score.

    Args:
        report: the answer of ``/score`` or ``/segment``.
        sha256: of the bytes that were sent.

    Raises:
        NotTheService: a field is missing or invalid, or the answer is about another file.
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
    """The cells for a file that the service refused: the problem's code and detail, and no score."""
    problem = problem_of(answer)
    return {
        "scorable": _text(False),
        "error": problem_code(answer),
        "detail": str(problem.get("detail", "")),
        "sha256": sha256,
        "request_id": str(problem.get("request_id", answer.headers.get("x-request-id", ""))),
    }


def unsent_row(code: str, detail: str) -> dict[str, str]:
    """The cells for a file that was not sent, and therefore has no status."""
    return {"scorable": _text(False), "error": code, "detail": detail}


def problem_of(answer: httpx.Response) -> Mapping[str, Any]:
    """RFC 9457 problem details; empty for an answer without them, such as one made by a proxy."""
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != PROBLEM:
        return {}
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def problem_code(answer: httpx.Response) -> str:
    """The problem's stable code, or, for an answer without one, ``http_`` and the status, such as ``http_413``."""
    return str(problem_of(answer).get("code") or f"http_{answer.status_code}")


def pictures_of(report: Mapping[str, Any]) -> dict[str, bytes]:
    """The masks and the overlay in an answer, by file name ending such as ``.lungs.png``.

    Raises:
        NotTheService: one of them is not a picture.
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
    """The cells of the shares; empty without a score, so that nobody computes one from them that was not given."""
    if score is None:
        return {}
    shares = {zone["zone"]: float(zone["share"]) for zone in zones}
    return {f"lung_segment_{number}": f"{shares[zone]:g}" for number, zone in enumerate(ZONES, 1)}


def _text(value: object) -> str:
    """A cell: empty for null."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
