"""Answers a request with a radiograph: admission, deadline, clients that leave, log and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from math import isnan
from typing import Any, TypeAlias

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import errors
from app.admission import RETRY_AFTER, PermittedResponse
from app.batching import DeviceLost, QueuesClosed
from app.http.disconnect import while_connected
from app.http.request_id import request_id
from app.intake import Radiograph, read_parts, read_upload
from app.metrics import Metrics
from app.pipeline import Check
from app.reports.answers import Finding
from app.reports.overlay import PictureFormat
from app.reports.report import report_models
from app.routes.query import AnalysisQuery
from app.service import Service
from app.timing import Stopwatch
from models.analysis import Analysis

Render: TypeAlias = Callable[[Finding], bytes]
"""Turns an analysed radiograph into the answer's body; runs in the host pool."""
RenderPair: TypeAlias = Callable[[Finding, Finding], bytes]
CheckPair: TypeAlias = Callable[[Radiograph, Radiograph], None]
"""Raises a problem for a second radiograph that does not fit the first."""
Answered: TypeAlias = tuple[list[Finding], bytes]
Receive: TypeAlias = Callable[[Service], Awaitable[list[bytearray]]]
Analyse: TypeAlias = Callable[[Service, Sequence[bytearray], Stopwatch], Coroutine[Any, Any, Answered]]


def accept_any(radiograph: Radiograph) -> None:
    """A check that every radiograph passes."""


async def answer(
    request: Request,
    query: AnalysisQuery,
    render: Render,
    media_type: str,
    overlay: PictureFormat | None = None,
    check: Check = accept_any,
) -> Response:
    """Admits a request, receives and analyses its radiograph and renders the answer.

    The work stops at the deadline or when the client leaves. The answer keeps the permit until it is sent.
    """

    async def receive(service: Service) -> list[bytearray]:
        return [await read_upload(request, service.limits.max_upload_bytes)]

    async def analyse(service: Service, uploads: Sequence[bytearray], clock: Stopwatch) -> Answered:
        finding, body = await _analysed(request, service, uploads[0], query, overlay, check, render, clock)
        return [finding], body

    return await _answered(request, receive, analyse, media_type)


async def answer_pair(
    request: Request,
    query: AnalysisQuery,
    names: tuple[str, str],
    render: RenderPair,
    media_type: str,
    overlay: PictureFormat | None,
    check: CheckPair,
) -> Response:
    """As ``answer``, for two radiographs in the form's parts ``names``.

    They are analysed one after the other: a pair never takes more of the device than any other request.
    """

    async def receive(service: Service) -> list[bytearray]:
        return await read_parts(request, names, service.limits.max_upload_bytes)

    async def analyse(service: Service, uploads: Sequence[bytearray], clock: Stopwatch) -> Answered:
        first, _ = await _analysed(request, service, uploads[0], query, overlay, accept_any, _render_nothing, clock)
        fits, both = partial(check, first.radiograph), partial(render, first)
        second, body = await _analysed(request, service, uploads[1], query, overlay, fits, both, Stopwatch())
        return [first, second], body

    return await _answered(request, receive, analyse, media_type)


async def _answered(request: Request, receive: Receive, analyse: Analyse, media_type: str) -> Response:
    service: Service = request.app.state.service
    clock = Stopwatch()
    service.check_accepting()
    with ExitStack() as held:
        held.enter_context(service.admission.permit(request.state.urgency, request.state.key))
        try:
            async with asyncio.timeout(service.settings.request_timeout_s) as deadline:
                with clock.measure("receive"):
                    uploads = await receive(service)
                for upload in uploads:
                    service.metrics.upload_bytes.observe(len(upload))
                findings, body = await while_connected(request, analyse(service, uploads, clock))
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
        _record(service, request, findings)
        return PermittedResponse(body, media_type, held.pop_all())


async def _analysed(
    request: Request,
    service: Service,
    upload: bytearray,
    query: AnalysisQuery,
    overlay: PictureFormat | None,
    check: Check,
    render: Render,
    clock: Stopwatch,
) -> tuple[Finding, bytes]:
    noted, finished = partial(_noted, request, check), partial(_finished, request, clock, overlay, render)
    request.state.clocks.append(clock)
    return await service.pipeline.run(upload, query.question, noted, finished, clock, request.state.urgency)


def _render_nothing(finding: Finding) -> bytes:
    """The first of a pair has no answer of its own."""
    return b""


def _noted(request: Request, check: Check, radiograph: Radiograph) -> None:
    """Writes the upload's hash into the request's log line, then checks the radiograph."""
    request.state.log["sha256"] = radiograph.sha256
    check(radiograph)


def _finished(
    request: Request,
    clock: Stopwatch,
    overlay: PictureFormat | None,
    render: Render,
    radiograph: Radiograph,
    analysis: Analysis,
) -> tuple[Finding, bytes]:
    """The finding, for the log and the metrics, and the answer's body."""
    models = report_models(request.app.state.service.workflow)
    finding = Finding(request_id(request.scope), radiograph, analysis, models, overlay, clock)
    return finding, render(finding)


def _record(service: Service, request: Request, findings: Sequence[Finding]) -> None:
    """Adds an answered request to the log and the metrics; the log has lists where there are several findings."""
    lines = [
        {
            "sha256": finding.radiograph.sha256,
            "score": finding.analysis.score,
            "flags": finding.analysis.flags,
            "timings_ms": finding.clock.milliseconds(),
        }
        for finding in findings
    ]
    request.state.log |= lines[0] if len(lines) == 1 else {key: [line[key] for line in lines] for key in lines[0]}
    for finding in findings:
        _observe(service.metrics, finding)


def _observe(metrics: Metrics, finding: Finding) -> None:
    analysis = finding.analysis
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
