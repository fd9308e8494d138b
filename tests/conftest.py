"""A PostgreSQL for all tests that want one."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests import postgres
from tests.postgres import Cluster

_numbers = count()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as running:
        yield running


@pytest.fixture
def server_url(cluster: Cluster) -> str:
    """Of a new database on the PostgreSQL."""
    return cluster.create(f"calls{next(_numbers)}")
