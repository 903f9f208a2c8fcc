from collections.abc import Iterator

import pytest

from benchmarks.robustness.service import serving
from tests.support.server import Server


@pytest.fixture(scope="session")
def free_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service with free networks and the default settings."""
    with serving(tmp_path_factory.mktemp("free")) as ready:
        yield ready
