"""What every peer does with a request, in the steps of our service, which each framework spreads in its way."""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from app.intake import Limits, Radiograph, Upload, decode
from app.reports.answers import Finding, score_json
from app.reports.report import report_models
from app.service import MIN_SIDE
from app.settings import Settings
from app.timing import Stopwatch
from benchmarks.peers.workflows import KINDS, Kind
from models.analysis import Analysis, Cropped, Prepared
from models.pixels import ProbabilityMap
from models.runtime.device import default_batch_size, resolve_device
from models.runtime.engine import StageInput as Picture
from models.runtime.processors import available_cpus
from models.workflow import Workflow

HOST = "127.0.0.1"
JSON = "application/json"
TIMEOUT_SECONDS = 300
"""For a request: many clients before slow networks wait long."""
MAX_BATCH = default_batch_size(resolve_device("auto")) if resolve_device("auto") != "cpu" else 2 * available_cpus()

_KIND_VARIABLE, _BATCH_VARIABLE = "CXR_PEER_WORKFLOW", "CXR_PEER_MAX_BATCH"


@dataclass(frozen=True)
class Options:
    """What a peer is told.

    Attributes:
        port: of 127.0.0.1; 0 in a process that does not listen.
        kind: which workflow.
        max_batch: most radiographs that share one run of a network.
        eager: networks in PyTorch, layer by layer; the plain handler alone.
    """

    port: int
    kind: Kind
    max_batch: int
    eager: bool = False

    @classmethod
    def from_command_line(cls, description: str | None) -> "Options":
        """Also leaves them to the processes that this one starts, see ``inherited``."""
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
        parser.add_argument("--port", type=int, required=True)
        parser.add_argument("--workflow", choices=KINDS, default="embedded")
        parser.add_argument("--max-batch", type=int, default=MAX_BATCH)
        parser.add_argument("--eager", action="store_true", help="networks in PyTorch, layer by layer")
        given = parser.parse_args()
        os.environ[_KIND_VARIABLE], os.environ[_BATCH_VARIABLE] = given.workflow, str(given.max_batch)
        return cls(given.port, given.workflow, given.max_batch, given.eager)

    @classmethod
    def inherited(cls) -> "Options":
        """In a process that a framework started: what its parent was told."""
        kind = cast("Kind", os.environ.get(_KIND_VARIABLE, "embedded"))
        return cls(0, kind, int(os.environ.get(_BATCH_VARIABLE, MAX_BATCH)))


def limits() -> Limits:
    """As our service has them."""
    settings = Settings()
    return Limits(settings.max_upload_bytes, settings.max_pixels, MIN_SIDE)


class Host:
    """A request's own work before and after the networks; needs none of them."""

    def __init__(self, workflow: Workflow) -> None:
        """Args:
        workflow: may be one without networks, of ``build_outline``.
        """
        self._workflow, self._limits = workflow, limits()
        self._models = report_models(workflow)

    def decode(self, upload: Upload) -> Radiograph:
        """The upload as pixels."""
        return decode(upload, self._limits)

    def begin(self, upload: Upload) -> tuple[Radiograph, Prepared]:
        """The upload decoded, and made ready for stage I."""
        radiograph = self.decode(upload)
        return radiograph, self._workflow.prepare(radiograph.pixels)

    def finish(self, radiograph: Radiograph, analysis: Analysis, overlay: bool) -> bytes:
        """The answer's body."""
        picture_format = "jpeg" if overlay else None
        return score_json(Finding(uuid4().hex, radiograph, analysis, self._models, picture_format, Stopwatch()))


class Networks:
    """Both networks over batches, with the host work between and after them side by side in threads.

    That work is the request's own too, but goes on here where a batch crosses to another process as a whole: what
    would have to cross between the stages is larger than what it saves.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._pool = ThreadPoolExecutor(available_cpus(), thread_name_prefix="host")

    def analyse(self, batch: Sequence[Prepared]) -> list[Analysis]:
        """The analysis of each, in order."""
        workflow = self._workflow
        maps, _ = workflow.lungs.run([item.picture for item in batch])
        between = list(self._pool.map(self._between, batch, maps))
        maps, labels = workflow.disease.run([picture for _, picture in between])
        found = [None] * len(batch) if labels is None else [float(label) for label in labels]
        return list(self._pool.map(workflow.conclude, [cropped for cropped, _ in between], maps, found))

    def _between(self, prepared: Prepared, lung_map: ProbabilityMap) -> tuple[Cropped, Picture]:
        cropped = self._workflow.crop_lungs(prepared, lung_map)
        return cropped, self._workflow.disease.prepare(cropped.image)
