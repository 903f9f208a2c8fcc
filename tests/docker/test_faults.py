"""Replicas die, end, hang, are replaced and overloaded behind the real gateway: clients see none of it."""

from collections.abc import Iterator, Sequence

import pytest

from tests.docker.cluster import Gateway, Replica, cluster, nginx_installed
from tests.docker.faults import FAULTS, OVERLOAD, READ_TIMEOUT, REPLICAS, SETTINGS, measured_capacity, suffer
from tests.docker.load import Asked, radiographs

pytestmark = pytest.mark.skipif(not nginx_installed(), reason="nginx is not installed")
SECONDS = 3.0


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Gateway, Sequence[Replica], Sequence[Asked]]]:
    """Three replicas behind the gateway, and radiographs with what they score."""
    with cluster(REPLICAS, READ_TIMEOUT, SETTINGS) as (front, replicas):
        yield front, replicas, radiographs(front.url)


# Every fault begins with a second of "none", and "all restarted in turn" ends each replica by SIGTERM.
@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"none", "SIGTERM to one of three"}))
def test_a_steady_load_is_answered_right_whatever_befalls_a_replica(
    running: tuple[Gateway, Sequence[Replica], Sequence[Asked]], fault: str
) -> None:
    front, replicas, asked = running
    before = len(front.entries())
    found = suffer(fault, front, replicas, asked, SECONDS)
    assert found.failed == 0, found.details
    assert found.refused == 0
    assert found.requests >= 12
    # Once each: the gateway has as many requests on record.
    assert len(front.entries()) - before == found.requests


def test_threefold_overload_is_refused_with_retry_after_and_nothing_else(
    running: tuple[Gateway, Sequence[Replica], Sequence[Asked]],
) -> None:
    front, replicas, asked = running
    found = suffer(OVERLOAD, front, replicas, asked, SECONDS, measured_capacity(front, asked, SECONDS))
    assert found.failed == 0, found.details
    assert 0 < found.refused < found.requests
