"""The real pipeline, batcher and device threads around stages that block on events: no test depends on timing."""

import asyncio
import math
import queue
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.batching import Batcher, DeviceLost, QueuesClosed, StageName, StageOutput, StageQueues, Task
from app.intake import Limits
from app.pipeline import Pipeline
from app.timing import Stopwatch
from app.urgency import DEFAULT, FIRST, LAST, Turn
from models.analysis import PLAIN, Analysis
from models.pixels import Pixels
from models.runtime.engine import StageInput
from models.runtime.errors import DeviceFailure, OutOfMemoryError
from models.runtime.stage import Stage
from models.workflow import Workflow
from tests.support.gates import SIZE, GatedStage
from tests.support.pictures import encoded, lung_mask, radiograph
from tests.support.stubs import BrightIsDisease, FixedMap

POISON = 255
NOW = Turn(0.0)
"""Before all requests."""


class Rig:
    """A batcher with gated stages."""

    def __init__(self, max_batch_size: int = 16, device_limit: float = 60.0) -> None:
        self.lungs = GatedStage(FixedMap(lung_mask(SIZE)), SIZE)
        self.disease = GatedStage(BrightIsDisease(), SIZE)
        self.queues = StageQueues(max_batch_size)
        self.lost: list[str] = []
        self.order: list[tuple[StageName, int]] = []
        workflow = Workflow(self.lungs, self.disease, threshold=0.3)
        stages: dict[StageName, Stage] = {"lungs": self.lungs, "disease": self.disease}
        # Launches come from one thread, so their order is sure; answers from several.
        self.lungs.fail = lambda batch: self.order.append(("lungs", len(batch)))
        self.disease.fail = lambda batch: self.order.append(("disease", len(batch)))
        self.batcher = Batcher(stages, self.queues, self.lost.append, lambda *_: None, device_limit)
        self.pipeline = Pipeline(workflow, self.batcher, Limits(), ())

    def request(self, seed: int = 0, urgency: int = DEFAULT) -> asyncio.Task[Analysis]:
        return self.analysis_of(radiograph(SIZE, SIZE, seed), urgency)

    def analysis_of(self, pixels: Pixels, urgency: int = DEFAULT) -> asyncio.Task[Analysis]:
        upload = encoded(pixels)
        work = self.pipeline.run(upload, PLAIN, lambda _: None, lambda _, analysis: analysis, Stopwatch(), urgency)
        return asyncio.ensure_future(work)

    async def entered(self, stage: GatedStage) -> None:
        """Until a run of the stage stands at its gate."""
        assert await asyncio.to_thread(stage.entered.acquire, True, 30)

    async def queued(self, stage: StageName, count: int) -> None:
        """Until so many wait for a stage."""
        async with asyncio.timeout(30):
            while self.queues.depth(stage) != count:
                await asyncio.sleep(0.001)

    async def told_of_loss(self) -> None:
        """Until the device's loss is known: its requests hear of it first."""
        async with asyncio.timeout(30):
            while not self.lost:
                await asyncio.sleep(0.001)

    async def refusing(self) -> None:
        """Until the queues take no more."""
        async with asyncio.timeout(30):
            with suppress(QueuesClosed):
                while True:
                    self.queues.put(Task("lungs", radiograph(SIZE, SIZE), lambda outcome: None, NOW))
                    await asyncio.sleep(0.001)

    async def close(self) -> None:
        self.lungs.gate.set()
        self.disease.gate.set()
        await asyncio.to_thread(self.batcher.close)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.close()


def poisoned(batch: Sequence[StageInput]) -> None:
    if any(image.max() == POISON for image in batch):
        raise ValueError("poison")


def poison_request(rig: Rig) -> asyncio.Task[Analysis]:
    return rig.analysis_of(np.full((SIZE, SIZE), POISON, np.uint8))


async def test_arrivals_gather_while_the_device_is_busy(rig: Rig) -> None:
    rig.lungs.gate.clear()
    first = rig.request()
    await rig.entered(rig.lungs)
    others = [rig.request(seed) for seed in range(1, 6)]
    await rig.queued("lungs", 5)
    rig.lungs.gate.set()
    await asyncio.gather(first, *others)
    assert rig.lungs.batches == [1, 5]


async def test_a_lone_request_does_not_wait(rig: Rig) -> None:
    analysis = await rig.request()
    assert analysis.score is not None
    assert rig.order == [("lungs", 1), ("disease", 1)]


async def test_stage_two_goes_before_waiting_radiographs(rig: Rig) -> None:
    rig.lungs.gate.clear()
    blocker = rig.request()
    await rig.entered(rig.lungs)
    later = rig.request(1)
    await rig.queued("lungs", 1)
    rig.disease.gate.clear()
    rig.queues.put(Task("disease", radiograph(SIZE, SIZE), lambda outcome: None, NOW))
    rig.lungs.gate.set()
    await rig.entered(rig.disease)
    await rig.queued("disease", 1)  # the blocker's own, while the first of stage II is held
    rig.disease.gate.set()
    await asyncio.gather(blocker, later)
    assert rig.order == [("lungs", 1), ("disease", 1), ("disease", 1), ("lungs", 1), ("disease", 1)]


@pytest.mark.parametrize(("urgencies", "alone"), [((3,), True), ((3, 3), False), ((0, 6), True), ((0, 0), False)])
async def test_what_may_have_the_whole_device(rig: Rig, urgencies: Sequence[int], alone: bool) -> None:
    """A request by itself, or the only urgent one among others."""
    rig.lungs.gate.clear()
    first = rig.request(urgency=urgencies[0])
    await rig.entered(rig.lungs)
    others = [rig.request(1, urgency) for urgency in urgencies[1:]]
    await rig.queued("lungs", len(others))
    rig.lungs.gate.set()
    await asyncio.gather(first, *others)
    assert rig.disease.alone[0] is alone


async def test_an_urgent_request_overtakes_bulk_in_both_stages() -> None:
    rig, ended = Rig(max_batch_size=1), []
    rig.lungs.gate.clear()
    blocker = rig.request(urgency=LAST)
    await rig.entered(rig.lungs)
    bulk = [rig.request(seed, LAST) for seed in range(1, 4)]
    await rig.queued("lungs", 3)
    urgent = rig.request(9, FIRST)
    await rig.queued("lungs", 4)
    for name, request in (("urgent", urgent), *(("bulk", request) for request in bulk)):
        request.add_done_callback(lambda _, name=name: ended.append(name))
    # Stage II gathers a queue of its own before the urgent request reaches it.
    held = [Task("disease", radiograph(SIZE, SIZE), lambda outcome: None, Turn(math.inf)) for _ in range(20)]
    for task in held:
        rig.queues.put(task)
    rig.lungs.gate.set()
    await asyncio.gather(blocker, *bulk, urgent)
    assert ended == ["urgent", "bulk", "bulk", "bulk"]
    # Between its stages, none of those that waited began, so it may use the whole device.
    assert rig.order[:3] == [("lungs", 1), ("lungs", 1), ("disease", 1)]
    await rig.close()


@pytest.mark.parametrize("moment", ["fail", "fail_late"])
async def test_only_the_poisoned_request_fails(rig: Rig, moment: str) -> None:
    setattr(rig.lungs, moment, poisoned)
    rig.lungs.gate.clear()
    blocker = rig.request()
    await rig.entered(rig.lungs)
    good = [rig.request(seed) for seed in range(1, 4)]
    bad = poison_request(rig)
    await rig.queued("lungs", 4)
    rig.lungs.gate.set()
    with pytest.raises(ValueError, match="poison"):
        await bad
    alone = [await rig.request(seed) for seed in range(1, 4)]
    for together, single in zip(await asyncio.gather(*good), alone, strict=True):
        np.testing.assert_allclose(together.shares, single.shares, atol=1e-3)
    await blocker
    assert rig.lungs.batches[:6] == [1, 4, 1, 1, 1, 1]


@pytest.mark.parametrize("moment", ["fail", "fail_late"])
async def test_out_of_memory_halves_the_batch_and_remembers(rig: Rig, moment: str) -> None:
    def small_device(batch: Sequence[StageInput]) -> None:
        if len(batch) > 3:
            raise OutOfMemoryError("too much")

    setattr(rig.disease, moment, small_device)
    rig.lungs.gate.clear()
    blocker = rig.request()
    await rig.entered(rig.lungs)
    outcomes: queue.Queue[StageOutput | Exception] = queue.Queue()
    for _ in range(8):
        rig.queues.put(Task("disease", radiograph(SIZE, SIZE), outcomes.put, NOW))
    rig.lungs.gate.set()
    for _ in range(8):
        assert isinstance(await asyncio.to_thread(outcomes.get, True, 30), StageOutput)
    await blocker
    # When the failure comes late, the next part is on its way already.
    fours = 1 if moment == "fail" else 2
    assert sorted(rig.disease.batches, reverse=True) == [8, *[4] * fours, 2, 2, 2, 2, 1]
    assert rig.queues.capacity("disease") == 2
    assert rig.queues.capacity("lungs") == 16


@pytest.mark.parametrize("moment", ["fail", "fail_late"])
async def test_a_lost_device_fails_all_and_says_so_once(rig: Rig, moment: str) -> None:
    def broken(batch: Sequence[StageInput]) -> None:
        raise DeviceFailure("an illegal memory access was encountered")

    setattr(rig.disease, moment, broken)
    rig.disease.gate.clear()
    running = rig.request()
    await rig.entered(rig.disease)
    waiting = rig.request(1)
    await rig.queued("lungs", 1)
    rig.disease.gate.set()
    with pytest.raises(DeviceLost):
        await running
    # Its first stage may have run just before the loss; then there is no queue for the second one any more.
    with pytest.raises((DeviceLost, QueuesClosed)):
        await waiting
    await rig.told_of_loss()
    assert len(rig.lost) == 1
    assert "illegal memory access" in rig.lost[0]
    with pytest.raises(QueuesClosed):
        await rig.request(2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_dead_thread_is_a_lost_device(rig: Rig) -> None:
    def die(batch: Sequence[StageInput]) -> None:
        raise SystemExit("whatever ends a thread")

    rig.lungs.fail_late = die
    with pytest.raises(DeviceLost):
        await rig.request()
    await rig.told_of_loss()
    assert len(rig.lost) == 1


@pytest.mark.parametrize("late", [False, True])
async def test_a_device_that_hangs_is_lost(late: bool) -> None:
    rig, hang = Rig(device_limit=0.3), threading.Event()
    if late:
        rig.lungs.fail_late = lambda batch: assert_set(hang)
    else:
        rig.lungs.gate.clear()
    running = rig.request()
    await rig.entered(rig.lungs)
    waiting = rig.request(1)
    for request in (running, waiting):
        with pytest.raises(DeviceLost, match=r"the device has not answered for 0\.3 s"):
            await request
    await rig.told_of_loss()
    with pytest.raises(QueuesClosed):
        await rig.request(2)
    hang.set()
    await rig.close()
    assert rig.lost == ["the device has not answered for 0.3 s"]


def assert_set(event: threading.Event) -> None:
    assert event.wait(30)


async def test_a_busy_device_that_answers_is_not_lost() -> None:
    # Each batch is over well within the limit; all together take several times as long.
    rig = Rig(max_batch_size=1, device_limit=0.5)
    rig.lungs.fail = lambda batch: time.sleep(0.02)
    await asyncio.gather(*(rig.request(seed) for seed in range(60)))
    assert rig.lost == []
    await rig.close()


async def test_a_batch_that_fails_after_closing_still_ends() -> None:
    rig = Rig()
    rig.disease.fail_late = poisoned
    rig.disease.gate.clear()
    outcomes: queue.Queue[StageOutput | Exception] = queue.Queue()
    rig.queues.put(Task("disease", radiograph(SIZE, SIZE), outcomes.put, NOW))
    await rig.entered(rig.disease)
    bad = np.full((SIZE, SIZE), POISON, np.uint8)
    for image in (radiograph(SIZE, SIZE), bad, radiograph(SIZE, SIZE, 1)):
        rig.queues.put(Task("disease", image, outcomes.put, NOW))
    closing = asyncio.ensure_future(asyncio.to_thread(rig.batcher.close))
    await rig.refusing()
    rig.disease.gate.set()
    await closing
    ended = [outcomes.get_nowait() for _ in range(4)]
    assert [isinstance(outcome, StageOutput) for outcome in ended].count(True) == 3
    assert outcomes.empty()


@pytest.mark.parametrize("size", [2, 3, 7, 16])
async def test_an_answer_does_not_depend_on_its_company(rig: Rig, size: int) -> None:
    alone = await rig.request(99)
    rig.lungs.gate.clear()
    blocker = rig.request()
    await rig.entered(rig.lungs)
    await rig.entered(rig.lungs)
    together = [rig.request(99), *(rig.request(seed) for seed in range(1, size))]
    await rig.queued("lungs", size)
    rig.lungs.gate.set()
    company = (await asyncio.gather(*together))[0]
    await blocker
    assert size in rig.lungs.batches
    np.testing.assert_allclose(company.shares, alone.shares, atol=1e-3)
    assert company.score == alone.score


async def test_a_request_that_left_is_dropped_from_the_queue(rig: Rig) -> None:
    rig.lungs.gate.clear()
    blocker = rig.request()
    await rig.entered(rig.lungs)
    gone, stays = rig.request(1), rig.request(2)
    await rig.queued("lungs", 2)
    gone.cancel()
    await asyncio.wait([gone])
    rig.lungs.gate.set()
    await asyncio.gather(blocker, stays)
    assert rig.lungs.batches == [1, 1]


async def test_a_request_that_left_between_the_stages_does_not_reach_the_second(rig: Rig) -> None:
    rig.lungs.gate.clear()
    gone = rig.request()
    await rig.entered(rig.lungs)
    gone.cancel()
    await asyncio.wait([gone])
    rig.lungs.gate.set()
    await rig.request(1)
    assert rig.order == [("lungs", 1), ("lungs", 1), ("disease", 1)]


async def test_closing_finishes_what_was_queued() -> None:
    rig = Rig()
    rig.disease.gate.clear()
    outcomes: queue.Queue[StageOutput | Exception] = queue.Queue()
    rig.queues.put(Task("disease", radiograph(SIZE, SIZE), outcomes.put, NOW))
    await rig.entered(rig.disease)
    rig.queues.put(Task("disease", radiograph(SIZE, SIZE), outcomes.put, NOW))
    closing = asyncio.ensure_future(asyncio.to_thread(rig.batcher.close))
    await rig.refusing()
    rig.disease.gate.set()
    await closing
    assert rig.lost == []
    assert all(isinstance(outcomes.get_nowait(), StageOutput) for _ in range(2))


@given(
    steps=st.lists(st.sampled_from(("request", "poison", "leave", "block", "open", "memory", "plenty")), max_size=25),
    max_batch_size=st.integers(1, 6),
)
@settings(max_examples=30)
def test_every_admitted_request_ends_exactly_once(steps: list[str], max_batch_size: int) -> None:
    asyncio.run(_scenario(steps, max_batch_size))


async def _scenario(steps: Sequence[str], max_batch_size: int) -> None:
    rig = Rig(max_batch_size)
    limit = [100]

    def fail(batch: Sequence[StageInput]) -> None:
        if len(batch) > limit[0]:
            raise OutOfMemoryError("too much")
        poisoned(batch)

    rig.lungs.fail, rig.disease.fail_late = fail, fail
    requests: list[tuple[str, asyncio.Task[Analysis]]] = []
    for step in steps:
        if step == "request":
            requests.append(("good", rig.request(len(requests))))
        elif step == "poison":
            requests.append(("bad", poison_request(rig)))
        elif step == "leave" and requests:
            kind, request = requests[-1]
            request.cancel()
            requests[-1] = ("left", request)
        elif step == "block":
            rig.lungs.gate.clear()
        elif step == "open":
            rig.lungs.gate.set()
        elif step in ("memory", "plenty"):
            limit[0] = 1 if step == "memory" else 100
        await asyncio.sleep(0)
    rig.lungs.gate.set()
    outcomes = await asyncio.wait_for(asyncio.gather(*(r for _, r in requests), return_exceptions=True), 30)
    for (kind, _), outcome in zip(requests, outcomes, strict=True):
        if kind == "good":
            assert isinstance(outcome, Analysis), outcome
        elif kind == "bad":
            assert isinstance(outcome, ValueError), outcome
        else:
            assert isinstance(outcome, (asyncio.CancelledError, Analysis, ValueError)), outcome
    await rig.close()
    assert rig.lost == []
