"""Dynamic batching: queues choose the next batch, device threads run it, and requests wait on the batcher."""

from app.batching.batcher import Batcher
from app.batching.device import DeviceLost, DeviceThreads
from app.batching.queues import STAGE_NAMES, QueuesClosed, StageName, StageOutput, StageQueues, Task

__all__ = [
    "STAGE_NAMES",
    "Batcher",
    "DeviceLost",
    "DeviceThreads",
    "QueuesClosed",
    "StageName",
    "StageOutput",
    "StageQueues",
    "Task",
]
