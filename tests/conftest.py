from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from app.intake import dicom
from models.phantom import draw_phantom
from tests.support.ids import said
from tests.support.pictures import encoded
from tests.support.server import Server, running

# No property test depends on the clock: a busy machine is no fault of the code.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# The default tries the same cases each time; `--hypothesis-profile=fresh` new ones.
settings.register_profile("fixed", UNTIMED, derandomize=True)
settings.register_profile("fresh", UNTIMED, derandomize=False)
settings.load_profile("fixed")

dicom.configure()

MARKED = {
    "system": (
        "docker",
        "app/viewer",
        "app/reports/dicom/test_cornerstone.py",
        "app/reports/dicom/test_orthanc.py",
        "docs/test_postman.py",
        "docs/test_snippets.py",
    ),
    "timing": (
        "robustness/test_early_answers.py",
        "robustness/test_hostile_clients.py",
        "robustness/test_leaving.py",
        "robustness/test_soak.py",
    ),
    "slow": (
        "app/test_as_operated.py",
        "app/test_bugs.py",
        "app/test_ending.py",
        "app/test_security.py",
        "app/test_start.py",
        "app/test_tracing.py",
        "benchmarks",
        "docs/test_generated_clients.py",
        "docs/test_openapi.py",
        "models/evaluation/test_complexity.py",
        "models/evaluation/test_streams.py",
        "models/runtime/test_conversion.py",
        "models/training",
        "models/weights/test_checkpoints.py",
        "robustness/test_expensive_files.py",
        "robustness/test_fuzz.py",
    ),
}
"""By marker, the folders and files of which all tests have it. `make test` leaves them to `make test-all`, which looks
for `timing` in robustness/ only."""
TESTS = Path(__file__).parent
FIRST = {
    TESTS / "docker/test_faults.py",
    TESTS / "docker/test_orthanc.py",
    TESTS / "docs/test_snippets.py",
    TESTS / "models/runtime/test_conversion.py",
    TESTS / "models/weights/test_checkpoints.py",
    TESTS / "app/viewer/test_viewer.py",
}
"""The files that take longest. They begin first, or one worker would still be at one of them after all others end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in _markers_of(item.path):
            item.add_marker(marker)
    items.sort(key=lambda item: item.path not in FIRST)
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))


@cache
def _markers_of(file: Path) -> list[str]:
    return [marker for marker, places in MARKED.items() if any(file.is_relative_to(TESTS / place) for place in places)]


def pytest_make_parametrize_id(val: object) -> str | None:
    return said(val)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service with the embedded default."""
    with running(tmp_path_factory.mktemp("service")) as ready:
        yield ready


@pytest.fixture(scope="session")
def phantom_png() -> bytes:
    """The phantom radiograph as an upload."""
    return encoded(draw_phantom(512))
