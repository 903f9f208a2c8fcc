"""Gives every request an id, a log line and metrics. Pure ASGI, so that routes still see disconnects."""

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import CLIENT_GONE, bug_response
from app.http.request_id import REQUEST_ID_HEADER, choose_request_id
from app.logs import REQUEST_LOGGER, log_event
from app.metrics import Metrics
from app.timing import Interval
from app.tracing import Tracing
from app.version import VERSION

CALLER_HEADER = "X-Caller"
"""In a request, the caller that a gateway vouches for; in an answer, whose key it was, for the gateway's log."""
VERSION_HEADER = "X-Service-Version"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})


class RequestContext:
    """Gives each request an id, answers it where a bug left it unanswered, and logs how it ended.

    The log line carries what routes put into ``request.state.log``; never a file name or a query.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics, self._tracing = metrics, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = choose_request_id(scope)
        state["log"], state["clocks"] = {}, []
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER], headers[VERSION_HEADER] = state["request_id"], VERSION
                if "caller" in state["log"]:
                    headers[CALLER_HEADER] = state["log"]["caller"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            log_event(REQUEST_LOGGER, "bug", logging.ERROR, error, request_id=state["request_id"])
            if status is not None:
                # The answer has begun and cannot be replaced: the server has to break the connection.
                raise
            await bug_response(Request(scope))(scope, receive, send_with_id)
        finally:
            self._record(scope, status or CLIENT_GONE, started)

    def _record(self, scope: Scope, status: int, started: float) -> None:
        # The route's pattern, not the path: clients choose paths, so there is no limit to their number.
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        request = Interval(method, started, time.perf_counter())
        self._count(scope["state"], route, request, status)
        if route not in _QUIET_ROUTES:
            self._log(scope, route, request, status)

    def _count(self, state: Mapping[str, Any], route: str, request: Interval, status: int) -> None:
        seconds = request.ended - request.started
        self._metrics.requests.labels(route, request.name, status).inc()
        self._metrics.latency.labels(route).observe(seconds)
        if status == HTTPStatus.OK and "urgency" in state["log"]:
            self._metrics.analysis.labels(state["log"]["urgency"]).observe(seconds)
        if "problem" in state:
            self._metrics.problems.labels(state["problem"]).inc()
        if "caller" in state["log"]:
            self._metrics.callers.labels(self._metrics.caller_label(state["log"]["caller"]), status).inc()

    def _log(self, scope: Scope, route: str, request: Interval, status: int) -> None:
        """Writes the log line, and the spans where there is a collector."""
        state = scope["state"]
        steps = (interval for clock in state["clocks"] for interval in clock.intervals)
        trace_id = self._tracing.record(Headers(scope=scope), route, request, steps, status)
        known: dict[str, Any] = {"problem": state.get("problem"), "trace_id": trace_id}
        log_event(
            REQUEST_LOGGER,
            "answered",
            request_id=state["request_id"],
            method=request.name,
            route=route,
            status=status,
            ms=round((request.ended - request.started) * 1000, 2),
            **{name: value for name, value in known.items() if value},
            **state["log"],
        )
