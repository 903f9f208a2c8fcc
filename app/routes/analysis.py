"""``POST /score`` and ``POST /segment``: one radiograph in, its severity (and masks) out."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import errors
from app.admission import RETRY_AFTER
from app.authentication import require_key
from app.batching import DeviceLost, QueuesClosed
from app.disconnect import while_connected
from app.intake import Upload, decode, read_upload
from app.reports import schema
from app.reports.answers import Finding, overlay_png, score_json, segment_json
from app.reports.overlay import PictureFormat
from app.reports.report import report_models
from app.request_id import request_id
from app.routes.negotiation import choose_media_type
from app.service import VERSION, Service
from app.timing import Stopwatch

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


@dataclass(frozen=True)
class AnalysisQuery:
    """The query parameters that both routes take."""

    overlay: Annotated[bool, Query(description="draw the overlay")] = True
    overlay_format: Annotated[PictureFormat, Query(description="how it is encoded")] = "jpeg"
    threshold: Annotated[
        float | None, Query(ge=0, le=1, description="a zone counts when its diseased share is over it")
    ] = None


router = APIRouter(tags=["analysis"], dependencies=[Depends(require_key)])
Parameters = Annotated[AnalysisQuery, Depends()]


_Render: TypeAlias = Callable[[Finding], bytes]
"""An analysed radiograph to the answer's body; runs in the host pool."""


@router.post(
    "/score",
    response_model=schema.ScoreReport,
    responses=_PROBLEM_RESPONSES,
    openapi_extra={"requestBody": _BODY},
)
async def score(request: Request, query: Parameters) -> Response:
    """The severity of one frontal chest radiograph: 0..6 affected lung zones."""
    choose_media_type(request.headers.get("accept", ""), [JSON])
    return await _answer(request, query, score_json, JSON)


@router.post(
    "/segment",
    response_model=schema.SegmentReport,
    responses={**_PROBLEM_RESPONSES, 200: {"content": {PNG: {"schema": _BINARY}}}},
    openapi_extra={"requestBody": _BODY},
)
async def segment(
    request: Request,
    query: Parameters,
    contours: Annotated[bool, Query(description="add each mask's polygons")] = False,
) -> Response:
    """Severity and masks; with `Accept: image/png` the overlay itself."""
    if choose_media_type(request.headers.get("accept", ""), [JSON, PNG]) == PNG:
        return await _answer(request, query, overlay_png, PNG)
    return await _answer(request, query, partial(segment_json, contours=contours), JSON)


async def _answer(request: Request, query: AnalysisQuery, render: _Render, media_type: str) -> Response:
    """Admits, receives, analyses and renders, all within the deadline and while the client stays."""
    service: Service = request.app.state.service
    clock = Stopwatch()
    service.check_ready()
    with service.admission.permit():
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
    return Response(body, media_type=media_type)


async def _analyse_and_render(
    request: Request, service: Service, query: AnalysisQuery, clock: Stopwatch, upload: Upload, render: _Render
) -> tuple[Finding, bytes]:
    service.metrics.upload_bytes.observe(len(upload))
    batcher = service.batcher
    radiograph = await batcher.run_timed(clock, "decode", decode, upload, service.limits)
    request.state.log["sha256"] = radiograph.sha256
    analysis = await batcher.analyse(radiograph.pixels, query.threshold, clock)
    overlay = query.overlay_format if query.overlay else None
    models = report_models(service.workflow, VERSION)
    finding = Finding(request_id(request.scope), radiograph, analysis, models, overlay, clock)
    return finding, await batcher.run_host(render, finding)


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
