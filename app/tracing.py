"""Traces by OpenTelemetry, where the environment names a collector; without one, its SDK is not even loaded.

Spans are made from a request's own clocks once it has ended. So a request costs nothing more while it runs, and no span
holds what a client sent, such as its path and query.
"""

import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Optional

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.logs import SERVICE_LOGGER, log_event
from app.timing import Interval
from app.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The variables that name a collector, as OpenTelemetry defines them."""
_END_SECONDS: Final = 3.0
"""How long a process that ends waits for a collector that does not answer."""
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Tracing:
    """Continues callers' traces (W3C Trace Context), and sends spans where there is a collector."""

    def __init__(self, provider: Optional["TracerProvider"]) -> None:
        """Takes what makes spans; None: there are none, and only the callers' ids are read."""
        self._provider = provider
        self._tracer = provider.get_tracer("cxr_severity", VERSION) if provider else None

    @classmethod
    def from_environment(cls) -> "Tracing":
        """With a collector, where the environment names one and the extra ``tracing`` is installed."""
        if not any(os.environ.get(name) for name in ENDPOINTS):
            return cls(None)
        try:
            return cls(_new_provider())
        except ImportError:
            log_event(SERVICE_LOGGER, "no traces: the extra tracing is not installed", logging.WARNING)
            return cls(None)

    def record(
        self, headers: Mapping[str, str], route: str, request: Interval, steps: Iterable[Interval], status: int
    ) -> str | None:
        """Makes the spans of a request that has ended; returns the id of its trace, None where it has none.

        Args:
            headers: of the request, names in lower case.
            request: the whole of it, named by its method.
            steps: what took its time.
        """
        caller = _PROPAGATOR.extract(headers)
        span = trace.get_current_span(caller)
        if self._tracer is not None:
            span = self._span(self._tracer, caller, route, request, steps, status)
        identity = span.get_span_context()
        return trace.format_trace_id(identity.trace_id) if identity.is_valid else None

    def close(self) -> None:
        """Sends what is left; waits a few seconds at most."""
        if self._provider is not None:
            self._provider.force_flush(int(_END_SECONDS * 1000))
            self._provider.shutdown()

    @staticmethod
    def _span(
        tracer: trace.Tracer, caller: Context, route: str, request: Interval, steps: Iterable[Interval], status: int
    ) -> trace.Span:
        # The steps have the process's own clock, and a span has the time of day.
        epoch = time.time() - time.perf_counter()

        def begin(name: str, interval: Interval, context: Context, kind: trace.SpanKind) -> trace.Span:
            return tracer.start_span(name, context, kind, start_time=_nanoseconds(epoch + interval.started))

        span = begin(f"{request.name} {route}", request, caller, trace.SpanKind.SERVER)
        if span.is_recording():
            span.set_attributes(
                {"http.request.method": request.name, "http.route": route, "http.response.status_code": status}
            )
            if status >= 500:
                span.set_status(trace.StatusCode.ERROR)
            inside = trace.set_span_in_context(span)
            for step in steps:
                begin(step.name, step, inside, trace.SpanKind.INTERNAL).end(_nanoseconds(epoch + step.ended))
        span.end(_nanoseconds(epoch + request.ended))
        return span


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _new_provider() -> "TracerProvider":
    """Sends batches of spans by OTLP over HTTP; further variables of OpenTelemetry say where, and which are sampled."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME") or "cxr-severity"
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": VERSION}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
