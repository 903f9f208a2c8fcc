"""What surrounds every request: its id, its log line, its metrics. Pure ASGI, so that disconnects stay visible."""

import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import REQUEST_LOGGER, log_event
from app.metrics import Metrics

REQUEST_ID_HEADER = "X-Request-ID"
CLIENT_GONE = 499
"""The status on record for a client that left before its answer began."""
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})


def request_id(scope: Scope) -> str:
    """The id under which this request is answered and logged."""
    return str(scope["state"]["request_id"])


class RequestContext:
    """Gives each request an id (the client's ``X-Request-ID`` where it is a plain token) and logs its end.

    The log line carries what routes put into ``request.state.log``; never a name or a query.
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
        offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        state["request_id"] = offered if _ACCEPTED_ID.fullmatch(offered) else uuid4().hex
        state["log"] = {}
        status = CLIENT_GONE

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = state["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern, not the path: paths are the client's and unbounded.
        route = getattr(scope.get("route"), "path", "unmatched")
        state = scope["state"]
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.latency.labels(route).observe(seconds)
        if "problem" in state:
            self._metrics.problems.labels(state["problem"]).inc()
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
