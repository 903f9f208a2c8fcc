"""Dynamic batching: queues (who runs next), the device threads (run it), the batcher (what requests await)."""

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
