"""The steps from an upload's bytes to its answer. Only this module knows their order."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias, TypeVar

from app.batching import Batcher, StageName, StageOutput
from app.intake import Limits, Radiograph, Upload, decode
from app.timing import Stopwatch
from app.urgency import DEFAULT, Turn, turn_of
from models.analysis import Analysis, Cropped, Prepared, Question
from models.pixels import ProbabilityMap
from models.runtime.engine import StageInput
from models.workflow import Workflow

_Result = TypeVar("_Result")

Check: TypeAlias = Callable[[Radiograph], None]
"""Raises a problem for a radiograph that cannot be answered as asked; runs in the host pool, before the analysis."""
Render: TypeAlias = Callable[[Radiograph, Analysis], _Result]
"""Turns an analysis into what is returned; runs in the host pool."""


class Pipeline:
    """Runs uploads through both networks. Requests share the networks; host work and errors are each request's own."""

    def __init__(self, workflow: Workflow, batcher: Batcher, limits: Limits, body_parts: Sequence[str]) -> None:
        """Keeps what all requests share.

        Args:
            body_parts: more words in a DICOM header's Body Part Examined that mean the chest.
        """
        self._workflow, self._batcher = workflow, batcher
        self._limits, self._body_parts = limits, body_parts
        self._under_way = self._urgent = 0

    async def run(
        self,
        upload: Upload,
        question: Question,
        check: Check,
        render: Render[_Result],
        clock: Stopwatch,
        urgency: int = DEFAULT,
    ) -> _Result:
        """The answer to one upload; once cancelled, the upload is dropped when its next batch forms.

        Args:
            urgency: see ``app.urgency``; decides who goes first wherever requests wait.

        Raises:
            Problem: the upload is not a readable radiograph, or ``check`` refuses it.
            DeviceLost: the device failed for good.
            QueuesClosed: the service is ending.
        """
        turn = turn_of(urgency, time.monotonic())
        host = partial(self._batcher.run_on_host, turn)
        with self._counted(turn):
            # Only three trips to the pool: each goes through the event loop, and takes as long as a small picture.
            with self._batcher.expect(turn):
                radiograph, prepared = await host(self._read, upload, question, check, clock)
                lungs = await self._run_stage("lungs", prepared.picture, turn, clock)
                cropped, picture = await host(self._crop, prepared, lungs.map, clock)
                disease = await self._run_stage("disease", picture, turn, clock)
            return await host(self._conclude, radiograph, cropped, disease, question, render, clock)

    @contextmanager
    def _counted(self, turn: Turn) -> Iterator[None]:
        """Counts a request among those under way."""
        self._under_way += 1
        self._urgent += turn.urgent
        try:
            yield
        finally:
            self._under_way -= 1
            self._urgent -= turn.urgent

    def _read(self, upload: Upload, question: Question, check: Check, clock: Stopwatch) -> tuple[Radiograph, Prepared]:
        with clock.measure("decode"):
            radiograph = decode(upload, self._limits, self._body_parts)
        check(radiograph)
        with clock.measure("prepare"):
            return radiograph, self._workflow.prepare(radiograph.pixels, radiograph.flags, question.polarity)

    async def _run_stage(self, stage: StageName, picture: StageInput, turn: Turn, clock: Stopwatch) -> StageOutput:
        queued = time.perf_counter()
        # Bulk gives way to an urgent request, which then is as good as alone.
        alone = self._under_way == 1 or (turn.urgent and self._urgent == 1)
        output = await self._batcher.run(stage, picture, turn, alone)
        clock.add_run(stage, queued, output.waited, output.ran)
        return output

    def _crop(self, prepared: Prepared, lung_map: ProbabilityMap, clock: Stopwatch) -> tuple[Cropped, StageInput]:
        with clock.measure("between"):
            cropped = self._workflow.crop_lungs(prepared, lung_map)
            return cropped, self._workflow.disease.prepare(cropped.image)

    def _conclude(
        self,
        radiograph: Radiograph,
        cropped: Cropped,
        disease: StageOutput,
        question: Question,
        render: Render[_Result],
        clock: Stopwatch,
    ) -> _Result:
        with clock.measure("score"):
            analysis = self._workflow.conclude(cropped, disease.map, disease.label, question)
        return render(radiograph, analysis)
