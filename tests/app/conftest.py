from collections.abc import Iterator

import cv2
import pytest

from models.phantom import draw_phantom
from tests.app.server import Server, running


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
