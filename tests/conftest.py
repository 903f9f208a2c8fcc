from collections.abc import Iterator

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

from models.phantom import draw_phantom
from tests.app.server import Server, running

# No property test depends on the clock: a busy machine is no fault of the code.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# The default tries the same cases each time; `--hypothesis-profile=fresh` new ones.
settings.register_profile("fixed", UNTIMED, derandomize=True)
settings.register_profile("fresh", UNTIMED, derandomize=False)
settings.load_profile("fixed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service with the embedded default."""
    with running(tmp_path_factory.mktemp("service")) as ready:
        yield ready


@pytest.fixture(scope="session")
def phantom_png() -> bytes:
    """The phantom radiograph as an upload."""
    done, data = cv2.imencode(".png", draw_phantom(512))
    assert done
    return data.tobytes()
