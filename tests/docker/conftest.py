"""The edge that the tests of its storage and of its DICOMweb share."""

from collections.abc import Iterator

import pytest

from tests.docker.orthanc_edge import Edge, edge, skip_without_orthanc
from tests.support.server import Server


@pytest.fixture(scope="module")
def archive(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge before the session's service."""
    skip_without_orthanc()
    with edge(tmp_path_factory.mktemp("edge"), server.url) as started:
        yield started
