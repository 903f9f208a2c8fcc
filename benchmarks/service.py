"""``python -m benchmarks.service``: our service as it is, around any of the workflows that are compared."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from app import serving
from app.http.protocol import BoundedProtocol
from app.serving import serve
from app.settings import Settings
from benchmarks.peers.workflows import KINDS, build_workflow

READY_PATH = "/health/ready"
SCORE_PATHS = {True: "/score", False: "/score?overlay=false"}
MANY = 256
PATIENCE = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workflow", choices=KINDS, default="embedded")
    parser.add_argument("--max-batch", type=int)
    parser.add_argument("--patient", action="store_true", help="silent connections stay open")
    options = parser.parse_args(arguments)
    if options.patient:
        serving.BoundedProtocol = Patient  # type: ignore[misc]
    signal.signal(signal.SIGUSR1, lambda *_: name_threads())
    settings = Settings(
        port=options.port,
        max_batch_size=options.max_batch,
        max_in_flight=MANY,
        request_timeout_s=PATIENCE,
        log_level="INFO",
    )
    if options.workflow == "embedded":
        # The service loads it itself.
        return serve(settings)
    return serve(settings, build_workflow(options.workflow))


class Patient(BoundedProtocol):
    """For a server that is stopped now and then: by its clock, clients are silent for as long as that."""

    head_seconds = stalled_seconds = linger_seconds = PATIENCE

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = int(PATIENCE)


def name_threads() -> None:
    """Gives the system the names that Python has for its threads, so that their CPU time can be told apart.

    Python does so itself from 3.14 on. OpenVINO's threads, which it does not know, keep the process's name.
    """
    for thread in threading.enumerate():
        with suppress(FileNotFoundError, ProcessLookupError):  # it may have ended just now
            Path(f"/proc/self/task/{thread.native_id}/comm").write_text(thread.name, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
