"""``POST /score`` and ``POST /segment``: one radiograph in, its severity (and masks) out."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from math import isnan
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import errors
from app.admission import RETRY_AFTER, PermittedResponse
from app.authentication import require_key
from app.batching import DeviceLost, QueuesClosed
from app.disconnect import while_connected
from app.intake import Radiograph, Upload, decode, read_upload
from app.reports import schema
from app.reports.answers import Finding, overlay_png, score_json, segment_json
from app.reports.overlay import PictureFormat
from app.reports.report import report_models
from app.request_id import request_id
from app.routes.negotiation import choose_media_type
from app.service import VERSION, Service
from app.timing import Stopwatch
from models.pixels import Pixels
from models.workflow import Analysis

JSON, PNG = "application/json", "image/png"
_PROBLEMS = (
    errors.NoFile,
    errors.Unauthorised,
    errors.NotAcceptable,
    errors.UploadTooLarge,
    errors.UnsupportedFormat,
    errors.UnreadableImage,
    errors.Overloaded,
    errors.DeadlineExceeded,
)
_BINARY = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "description": "One radiograph (PNG, JPEG, TIFF or BMP), as the part `file` of a form or as the raw body.",
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY}}},
        **{media_type: {"schema": _BINARY} for media_type in ("image/png", "image/jpeg", "image/tiff", "image/bmp")},
        "application/octet-stream": {"schema": _BINARY},
    },
}


_PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    problem.status: {
        "description": problem.title,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
    }
    for problem in _PROBLEMS
}


class ScoreQuery(BaseModel):
    """The query parameters that both routes take."""

    overlay: bool = Field(True, description="draw the overlay")
    overlay_format: PictureFormat = Field("jpeg", description="how it is encoded")
    threshold: float | None = Field(
        None, ge=0, le=1, description="a zone counts when its diseased share is over it; empty: the card's"
    )


class SegmentQuery(ScoreQuery):
    """And what only masks have."""

    contours: bool = Field(False, description="add each mask's polygons")


router = APIRouter(tags=["analysis"], dependencies=[Depends(require_key)])

_Render: TypeAlias = Callable[[Finding], bytes]
"""An analysed radiograph to the answer's body; runs in the host pool."""


@router.post(
    "/score",
    response_model=schema.ScoreReport,
    responses=_PROBLEM_RESPONSES,
    openapi_extra={"requestBody": _BODY},
)
async def score(request: Request, query: Annotated[ScoreQuery, Query()]) -> Response:
    """The severity of one frontal chest radiograph: 0..6 affected lung zones."""
    choose_media_type(request.headers.get("accept", ""), [JSON])
    return await _answer(request, query, score_json, JSON)


@router.post(
    "/segment",
    response_model=schema.SegmentReport,
    responses={**_PROBLEM_RESPONSES, 200: {"content": {PNG: {"schema": _BINARY}}}},
    openapi_extra={"requestBody": _BODY},
)
async def segment(request: Request, query: Annotated[SegmentQuery, Query()]) -> Response:
    """Severity and masks; with `Accept: image/png` the overlay itself."""
    if choose_media_type(request.headers.get("accept", ""), [JSON, PNG]) == PNG:
        return await _answer(request, query, overlay_png, PNG)
    return await _answer(request, query, partial(segment_json, contours=query.contours), JSON)


async def _answer(request: Request, query: ScoreQuery, render: _Render, media_type: str) -> Response:
    """Admits, receives, analyses and renders, all within the deadline and while the client stays.

    The answer keeps the permit until it is sent.
    """
    service: Service = request.app.state.service
    clock = Stopwatch()
    service.check_ready()
    with ExitStack() as held:
        held.enter_context(service.admission.permit())
        try:
            async with asyncio.timeout(service.settings.request_timeout_s) as deadline:
                with clock.measure("receive"):
                    upload = await read_upload(request, service.limits.max_upload_bytes)
                finding, body = await while_connected(
                    request, _analyse_and_render(request, service, query, clock, upload, render)
                )
        except TimeoutError:
            if not deadline.expired():
                raise
            service.metrics.dropped.labels("deadline").inc()
            seconds = service.settings.request_timeout_s
            raise errors.DeadlineExceeded(f"Not answered within {seconds:g} s", RETRY_AFTER) from None
        except (DeviceLost, QueuesClosed):
            # Another replica can still answer; this one is ending.
            raise errors.NotReady("The service is ending", RETRY_AFTER) from None
        except ClientDisconnect:
            service.metrics.dropped.labels("client_gone").inc()
            raise
        _record(service, request, finding)
        return PermittedResponse(body, media_type, held.pop_all())


async def _analyse_and_render(
    request: Request, service: Service, query: ScoreQuery, clock: Stopwatch, upload: Upload, render: _Render
) -> tuple[Finding, bytes]:
    service.metrics.upload_bytes.observe(len(upload))
    workflow, state = service.workflow, request.state
    overlay = query.overlay_format if query.overlay else None
    radiograph: Radiograph

    def read() -> Pixels:
        nonlocal radiograph
        with clock.measure("decode"):
            radiograph = decode(upload, service.limits)
        state.log["sha256"] = radiograph.sha256
        return radiograph.pixels

    def finish(analysis: Analysis) -> tuple[Finding, bytes]:
        models = report_models(workflow, VERSION)
        finding = Finding(request_id(request.scope), radiograph, analysis, models, overlay, clock)
        return finding, render(finding)

    return await service.batcher.analyse(read, finish, query.threshold, clock)


def _record(service: Service, request: Request, finding: Finding) -> None:
    """What the log and the metrics keep of an answered request."""
    analysis, metrics = finding.analysis, service.metrics
    request.state.log |= {
        "score": analysis.score,
        "flags": analysis.flags,
        "timings_ms": finding.clock.milliseconds(),
    }
    finding.clock.observe(metrics)
    metrics.scores.labels("none" if analysis.score is None else str(analysis.score)).inc()
    metrics.formats.labels(finding.radiograph.format).inc()
    for flag in analysis.flags:
        metrics.flags.labels(flag).inc()
    for zone, share in analysis.by_zone.items():
        if not isnan(share):
            metrics.shares.labels(zone).observe(share)
