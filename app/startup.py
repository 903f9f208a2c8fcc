"""The start: loads both networks onto their device, warms them up and checks a known answer."""

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.batching import StageName
from app.settings import Settings
from models.runtime.device import default_batch_size, is_cpu, resolve_device
from models.runtime.errors import DeviceError
from models.runtime.stage import Stage
from models.selftest import SelfTestError, run_self_test
from models.weights import default_weights
from models.weights.cards import Role
from models.weights.files import CheckpointError
from models.workflow import Workflow

STARTUP_ERRORS: Final = (CheckpointError, DeviceError, SelfTestError)
"""The errors with which a start can fail; each message is one line that says what is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """The networks, ready to run.

    Attributes:
        batch_sizes: the largest batch worth launching, by stage.
    """

    workflow: Workflow
    batch_sizes: dict[StageName, int]

    @property
    def stages(self) -> dict[StageName, Stage]:
        """Both stages, by name."""
        return stages_of(self.workflow)


def start(settings: Settings, workflow: Workflow | None = None) -> Started:
    """Loads, warms up and tests both stages.

    Args:
        workflow: used as it is; None: the weights that the settings name are loaded.

    Raises:
        CheckpointError, DeviceError, SelfTestError: see ``STARTUP_ERRORS``.
    """
    workflow = workflow or load_workflow(settings)
    stages = stages_of(workflow)
    wanted = settings.max_batch_size or default_batch_size(workflow.lungs.device)
    # Compiling for a CPU takes a second per stage; a GPU's graphs have to be captured one after another.
    with ThreadPoolExecutor(len(stages) if is_cpu(workflow.lungs.device) else 1) as pool:
        sizes = dict(zip(stages, pool.map(lambda stage: stage.warm_up(wanted), stages.values()), strict=True))
    run_self_test(workflow)
    _set_heap_aside()
    return Started(workflow, sizes)


def load_workflow(settings: Settings) -> Workflow:
    """Loads both stages onto the device that the settings name.

    Raises:
        CheckpointError, DeviceError: with one line that says what is wrong.
    """
    device = resolve_device(settings.device)

    def load(role: Role, weights: Path | None) -> Stage:
        return Stage.load(
            weights or default_weights(role),
            role=role,
            device=device,
            precision=settings.precision,
            cache=settings.cache_dir,
        )

    lungs, disease = load("lungs", settings.lungs_weights), load("disease", settings.disease_weights)
    return Workflow(lungs, disease, threshold=settings.threshold)


def stages_of(workflow: Workflow) -> dict[StageName, Stage]:
    """Both stages, by name."""
    return {"lungs": workflow.lungs, "disease": workflow.disease}


def _set_heap_aside() -> None:
    """Exempts the objects that live as long as the service from garbage collection.

    Pydicom, OpenVINO and other libraries hold hundreds of thousands of them. A full collection would visit them all,
    and every thread would wait.
    """
    gc.collect()
    gc.freeze()
