"""A service on loopback that answers as told: late, with faults, or not at all."""

import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support import ROOT

EXAMPLES = json.loads((ROOT / "app" / "reports" / "examples.json").read_text())
DROP = 0
"""In place of a status: the connection is closed without an answer."""


@dataclass(frozen=True)
class Fault:
    """An answer that is none."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Faulty:
    """Attributes:
    faults: taken one after the other by whichever request comes.
    always: by SHA-256 of the body: the fault that meets this file every time.
    turn: how many requests are answered before the fault that meets all others.
    gate: while it is closed, analyses wait.
    edits: put in place of an answer's fields.
    parts: put in place of a ZIP's parts; None leaves the part out.
    asked: path with query, headers, SHA-256 of the body and moment of every POST.
    """

    url: str = ""
    ready: bool = True
    faults: list[Fault] = field(default_factory=list)
    always: dict[str, Fault] = field(default_factory=dict)
    turn: tuple[int, Fault] | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    asked: list[tuple[str, dict[str, str], str, float]] = field(default_factory=list)
    edits: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, bytes | None] = field(default_factory=dict)

    @property
    def bodies(self) -> list[str]:
        return [body for _, _, body, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def do_GET(self) -> None:
        self._answer(200 if self.faulty.ready else 503, {}, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        sha256 = hashlib.sha256(body).hexdigest()
        faulty = self.faulty
        faulty.asked.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()}, sha256, time.monotonic())
        )
        faulty.arrived.release()
        fault = faulty.faults.pop(0) if faulty.faults else faulty.always.get(sha256)
        if faulty.turn is not None and len(faulty.asked) > faulty.turn[0]:
            fault = faulty.turn[1]
        if fault is not None:
            self._fail(fault)
            return
        faulty.gate.wait(60)
        report = EXAMPLES["segment" if "segment" in self.path else "score"] | faulty.edits
        report["image"] = report["image"] | {"sha256": sha256}
        if self.path.startswith("/reports?"):
            self._answer(200, {"Content-Type": "application/zip"}, self._bundle(json.dumps(report).encode()))
        else:
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(report).encode())

    def _bundle(self, report: bytes) -> bytes:
        """A ZIP of what is asked for; all but the JSON say their names."""
        included = parse_qs(urlsplit(self.path).query)["include"][0].split(",")
        names = [f"{name}.{'json' if name in ('fhir', 'json') else 'dcm'}" for name in included]
        parts = {name: report if name == "json.json" else name.encode() for name in names} | self.faulty.parts
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in parts.items():
                if content is not None:
                    archive.writestr(name, content)
        return file.getvalue()

    def _fail(self, fault: Fault) -> None:
        if fault.status == DROP:
            self.close_connection = True
            return
        problem = {"code": fault.code, "detail": "as told", "request_id": "of-the-fault"}
        body = json.dumps(problem).encode() if fault.code else b"<h1>a proxy's own words</h1>"
        kind = "application/problem+json" if fault.code else "text/html"
        self._answer(fault.status, {"Content-Type": kind, **fault.headers}, body)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        # Who asked may have left meanwhile.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def faulty_service(port: int = 0) -> Iterator[Faulty]:
    """Ready, with the gate open.

    Args:
        port: on loopback; 0 takes any that is free.
    """
    faulty = Faulty()
    faulty.gate.set()
    handler = type("Handler", (_Handler,), {"faulty": faulty})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    faulty.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield faulty
    finally:
        faulty.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
