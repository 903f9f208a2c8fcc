"""What every route that analyses a radiograph shares: its parameters, its document, and the way to its answer."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from math import isnan
from typing import Any, Final, TypeAlias

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import errors
from app.admission import RETRY_AFTER, PermittedResponse
from app.batching import DeviceLost, QueuesClosed
from app.disconnect import while_connected
from app.intake import Radiograph, Upload, decode, read_upload
from app.reports.answers import Finding
from app.reports.overlay import PictureFormat
from app.reports.report import report_models
from app.request_id import request_id
from app.service import Service
from app.timing import Stopwatch
from models.analysis import Analysis, Polarity, Question
from models.pixels import Pixels

BINARY: Final = {"type": "string", "format": "binary"}
BODY: Final = {
    "required": True,
    "description": "One radiograph (PNG, JPEG, TIFF, BMP or DICOM), as the part `file` of a form or as the raw body.",
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": BINARY}}},
        **{
            media_type: {"schema": BINARY}
            for media_type in ("image/png", "image/jpeg", "image/tiff", "image/bmp", "application/dicom")
        },
        "application/octet-stream": {"schema": BINARY},
    },
}
_PROBLEMS: Final = (
    errors.NoFile,
    errors.Unauthorised,
    errors.NotAcceptable,
    errors.UploadTooLarge,
    errors.UnsupportedFormat,
    errors.UnreadableImage,
    errors.Overloaded,
    errors.DeadlineExceeded,
)
PROBLEM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    problem.status: {
        "description": problem.title,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
    }
    for problem in _PROBLEMS
}

Render: TypeAlias = Callable[[Finding], bytes]
"""An analysed radiograph to the answer's body; runs in the host pool."""
Check: TypeAlias = Callable[[Radiograph], None]
"""Raises a problem for a radiograph that could not be answered, before it is analysed; runs in the host pool."""


class AnalysisQuery(BaseModel):
    """The query parameters of every analysis; any other is refused."""

    model_config = ConfigDict(extra="forbid")

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="a zone counts when its diseased share is over it; empty: the card's",
    )
    polarity: Polarity = Field("as_is", description="auto: a radiograph that is found inverted is inverted back")

    @property
    def question(self) -> Question:
        """What the workflow is asked."""
        return Question(self.threshold, self.polarity)


async def answer(
    request: Request,
    query: AnalysisQuery,
    render: Render,
    media_type: str,
    overlay: PictureFormat | None = None,
    check: Check = lambda _: None,
) -> Response:
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
                    request, _analyse_and_render(request, query, clock, upload, overlay, check, render)
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
    request: Request,
    query: AnalysisQuery,
    clock: Stopwatch,
    upload: Upload,
    overlay: PictureFormat | None,
    check: Check,
    render: Render,
) -> tuple[Finding, bytes]:
    service: Service = request.app.state.service
    service.metrics.upload_bytes.observe(len(upload))
    workflow, state = service.workflow, request.state
    radiograph: Radiograph

    def read() -> tuple[Pixels, tuple[str, ...]]:
        nonlocal radiograph
        with clock.measure("decode"):
            radiograph = decode(upload, service.limits, service.settings.body_parts)
        state.log["sha256"] = radiograph.sha256
        check(radiograph)
        return radiograph.pixels, radiograph.flags

    def finish(analysis: Analysis) -> tuple[Finding, bytes]:
        models = report_models(workflow)
        finding = Finding(request_id(request.scope), radiograph, analysis, models, overlay, clock)
        return finding, render(finding)

    return await service.batcher.analyse(read, finish, query.question, clock)


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
    metrics.sides.observe(min(finding.radiograph.pixels.shape))
    for measure, value in analysis.measures.items():
        metrics.inputs.labels(measure).observe(value)
    for flag in analysis.flags:
        metrics.flags.labels(flag).inc()
    for zone, share in analysis.by_zone.items():
        if not isnan(share):
            metrics.shares.labels(zone).observe(share)
