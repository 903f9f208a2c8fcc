"""``python -m tests.benchmarks.service``: our service as it is, around any of the workflows that are compared."""

import argparse
import sys
from collections.abc import Sequence

from app.__main__ import serve
from app.settings import Settings
from models.cpu import keep_freed_memory
from tests.benchmarks.peers.workflows import KINDS, build_workflow

READY_PATH = "/health/ready"
SCORE_PATHS = {True: "/score", False: "/score?overlay=false"}
MANY = 256
PATIENCE = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.service", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workflow", choices=KINDS, default="embedded")
    parser.add_argument("--max-batch", type=int)
    options = parser.parse_args(arguments)
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
    # Before any thread is there that would keep an arena of its own, as when the service loads what it runs.
    keep_freed_memory()
    return serve(settings, build_workflow(options.workflow))


if __name__ == "__main__":
    sys.exit(main())
