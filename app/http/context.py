"""Gives every request an id, a log line and metrics. Pure ASGI, so that routes still see disconnects."""

import logging
import time
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import CLIENT_GONE, bug_response
from app.http.request_id import REQUEST_ID_HEADER, choose_request_id
from app.logs import REQUEST_LOGGER, log_event
from app.metrics import Metrics
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

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = choose_request_id(scope)
        state["log"] = {}
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
            self._record(scope, status or CLIENT_GONE, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern, not the path: clients choose paths, so there is no limit to their number.
        route = getattr(scope.get("route"), "path", "unmatched")
        state = scope["state"]
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.latency.labels(route).observe(seconds)
        if status == HTTPStatus.OK and "urgency" in state["log"]:
            self._metrics.analysis.labels(state["log"]["urgency"]).observe(seconds)
        if "problem" in state:
            self._metrics.problems.labels(state["problem"]).inc()
        if "caller" in state["log"]:
            self._metrics.callers.labels(self._metrics.caller_label(state["log"]["caller"]), status).inc()
        if route in _QUIET_ROUTES:
            return
        log_event(
            REQUEST_LOGGER,
            "answered",
            request_id=state["request_id"],
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            **({"problem": state["problem"]} if "problem" in state else {}),
            **state["log"],
        )
