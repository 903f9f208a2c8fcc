"""Traces: the caller's goes on, a collector gets the spans, and without one nothing is loaded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.collector import attributes, collecting
from tests.support.ports import free_port
from tests.support.server import running

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
STEPS = ["receive", "decode", "prepare", "queue", "lungs", "between", "queue", "disease", "score", "render"]
SECRETS = ("0.25", "/no/such/path", "threshold")


def began(span: Span) -> int:
    return span.start_time_unix_nano


def test_a_collector_gets_an_analysis_step_by_step(tmp_path: Path, phantom_png: bytes) -> None:
    with collecting() as collector:
        with running(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_SERVICE_NAME="") as server:
            sent = {"traceparent": TRACEPARENT}
            answers = [
                server.client.post("/score?threshold=0.25", content=phantom_png, headers=sent),
                server.client.post("/score", content=b"no picture"),
                server.client.get("/no/such/path?threshold=1"),
            ]
            assert [answer.status_code for answer in answers] == [200, 415, 404]
            logged = [server.answered(answer.headers["x-request-id"])["trace_id"] for answer in answers]
        # The rest is sent as the service ends.
        spans = collector.spans
    assert {(sender["service.name"], bool(sender["service.version"])) for sender in collector.resources} == {
        ("cxr-severity", True)
    }
    roots = sorted((span for span in spans if span.kind == Span.SPAN_KIND_SERVER), key=began)
    assert [root.name for root in roots] == ["POST /score", "POST /score", "GET unmatched"]
    assert [root.trace_id.hex() for root in roots] == logged
    first = next(span for span in spans if span.parent_span_id.hex() == PARENT)
    assert (first.trace_id.hex(), attributes(first)) == (
        TRACE,
        {"http.request.method": "POST", "http.route": "/score", "http.response.status_code": 200},
    )
    steps = sorted((span for span in spans if span.parent_span_id == first.span_id), key=began)
    assert [step.name for step in steps] == STEPS
    moment = first.start_time_unix_nano
    for step in steps:
        assert moment <= step.start_time_unix_nano <= step.end_time_unix_nano <= first.end_time_unix_nano
        moment = step.start_time_unix_nano
    assert abs(first.start_time_unix_nano / 1e9 - time.time()) < 600
    told = repr(spans)
    assert not [secret for secret in SECRETS if secret in told]


def test_without_a_collector_only_the_callers_id_is_logged(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path) as server:
        for header, trace in ((TRACEPARENT, TRACE), ("00-not-a-trace-01", None), ("", None)):
            answer = server.client.post("/score", content=phantom_png, headers={"traceparent": header})
            assert answer.status_code == 200
            assert server.answered(answer.headers["x-request-id"]).get("trace_id") == trace


@pytest.mark.parametrize("set_up", [False, True])
def test_the_sdk_is_loaded_only_for_a_collector(set_up: bool) -> None:
    program = (
        "import sys; from app.main import create_app; create_app(); "
        "print(any(name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter')) for name in sys.modules))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if set_up:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    said = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout == f"{set_up}\n"


def test_a_collector_that_is_not_there_harms_nobody(tmp_path: Path, phantom_png: bytes) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    with running(tmp_path, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint) as server:
        for _ in range(3):
            assert server.client.post("/score", content=phantom_png).status_code == 200
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert time.monotonic() - told < 15
