"""mosec: its front and its queues are Rust, each step is a process: decoding (one a core), the networks (one, batched),
rendering (one a core).

A worker sees the body only, neither path nor query, so the answer without an overlay is a route of its own, with
rendering of its own behind the same networks. Batches form without a wait: a ``max_wait_time`` of 1 ms is the smallest
there is; 5 ms were no faster. Nor was leaving the pixels in shared memory instead of sending them along (24 ms of CPU
time a request instead of 20), or a third process a step on two cores.

``READY_PATH`` answers before the workers are there, but requests wait for them: the first answer is the sign.
"""

import sys
from typing import Any

from mosec import Server, Worker
from mosec.runtime import Runtime

from app.intake import Radiograph
from benchmarks.peers.crossing import pack, unpack
from benchmarks.peers.handling import HOST, JSON, TIMEOUT_SECONDS, Host, Networks, Options, limits
from benchmarks.peers.workflows import build_outline, spare_threads, start_workflow
from models.analysis import Analysis, Prepared
from models.runtime.processors import available_cpus

READY_PATH = "/"
SCORE_PATHS = {True: "/score", False: "/score/plain"}
"""Where a radiograph is scored, with the overlay and without."""


class _Step(Worker):  # type: ignore[misc]
    """What crosses between the processes is packed as for every peer."""

    def serialize_ipc(self, data: Any) -> bytes:
        return pack(data)

    def deserialize_ipc(self, data: bytes) -> Any:
        return unpack(data)


class _HostStep(_Step):
    """A process that does host work only."""

    def __init__(self) -> None:
        super().__init__()
        spare_threads()
        self._host = Host(build_outline(Options.inherited().kind))


class Decode(_HostStep):
    """An upload to its radiograph, decoded, and what stage I takes."""

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> tuple[Radiograph, Prepared]:
        return self._host.begin(data)


class Infer(_Step):
    """Both networks over a batch."""

    def __init__(self) -> None:
        super().__init__()
        options = Options.inherited()
        self._networks = Networks(start_workflow(options.kind, options.max_batch))

    def forward(self, data: list[tuple[Radiograph, Prepared]]) -> list[tuple[Radiograph, Analysis]]:
        radiographs, prepared = zip(*data, strict=True)
        return list(zip(radiographs, self._networks.analyse(prepared), strict=True))


class Render(_HostStep):
    """The answer with its overlay."""

    resp_mime_type = JSON
    overlay = True

    def serialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: tuple[Radiograph, Analysis]) -> bytes:
        return self._host.finish(*data, self.overlay)


class RenderPlain(Render):
    """The answer without one."""

    overlay = False


def main() -> None:
    """Serves until told to stop."""
    options = Options.from_command_line(__doc__)
    # mosec reads the command line as well, and knows other options.
    sys.argv = [sys.argv[0], "--address", HOST, "--port", str(options.port), "--timeout", str(TIMEOUT_SECONDS * 1000)]
    sys.argv += ["--log-level", "warning", "--capacity", "1024", "--max-request-size", str(limits().max_upload_bytes)]
    cores = available_cpus()
    decode = Runtime(Decode, num=cores, timeout=TIMEOUT_SECONDS)
    infer = Runtime(Infer, num=1, max_batch_size=options.max_batch, max_wait_time=1, timeout=TIMEOUT_SECONDS)
    server = Server()
    server.register_runtime(
        {
            SCORE_PATHS[True]: [decode, infer, Runtime(Render, num=cores, timeout=TIMEOUT_SECONDS)],
            SCORE_PATHS[False]: [decode, infer, Runtime(RenderPlain, num=cores, timeout=TIMEOUT_SECONDS)],
        }
    )
    server.run()


if __name__ == "__main__":
    main()
