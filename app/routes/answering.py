"""Answers a request with a radiograph: admission, deadline, clients that leave, log and metrics."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from math import isnan
from typing import TypeAlias

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import errors
from app.admission import RETRY_AFTER, PermittedResponse
from app.batching import DeviceLost, QueuesClosed
from app.http.disconnect import while_connected
from app.http.request_id import request_id
from app.intake import Radiograph, read_upload
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
    service: Service = request.app.state.service
    clock = Stopwatch()
    service.check_ready()
    with ExitStack() as held:
        held.enter_context(service.admission.permit())
        try:
            async with asyncio.timeout(service.settings.request_timeout_s) as deadline:
                with clock.measure("receive"):
                    upload = await read_upload(request, service.limits.max_upload_bytes)
                service.metrics.upload_bytes.observe(len(upload))
                work = service.pipeline.run(
                    upload,
                    query.question,
                    partial(_noted, request, check),
                    partial(_finished, request, clock, overlay, render),
                    clock,
                )
                finding, body = await while_connected(request, work)
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


def _record(service: Service, request: Request, finding: Finding) -> None:
    """Adds an answered request to the log and the metrics."""
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
