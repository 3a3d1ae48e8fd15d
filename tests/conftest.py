"""Fixtures that all tests share. What they are made of is in `tests/support`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.moto_server import running_moto
from tests.support.rclone_server import running_rclone
from tests.support.s3_client import S3, s3_client
from tests.support.seaweed import running_seaweed
from tests.support.store import Store, new_bucket_name


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Store]:
    """A SeaweedFS, one for each worker of the test run."""
    with running_seaweed() as store:
        yield store


@pytest.fixture(scope="session")
def moto() -> Iterator[Store]:
    """A moto server, one for each worker of the test run."""
    with running_moto() as store:
        yield store


@pytest.fixture(scope="session")
def rclone() -> Iterator[Store]:
    """An `rclone serve s3`, one for each worker of the test run."""
    with running_rclone() as store:
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """The S3 of a test: SeaweedFS, or the one named by `parametrize("store", [...], indirect=True)`."""
    chosen: Store = request.getfixturevalue(getattr(request, "param", "seaweed"))
    return chosen


@pytest.fixture
def bucket(store: Store) -> Iterator[str]:
    """A fresh bucket of `store`."""
    name = new_bucket_name()
    store.make_bucket(name)
    yield name
    store.drop_bucket(name)


@pytest.fixture
async def s3(store: Store, bucket: str) -> AsyncIterator[S3]:
    """What is really in `bucket`."""
    async with s3_client(store, bucket) as client:
        yield client


@pytest.fixture
async def proxy(store: Store) -> AsyncIterator[FaultProxy]:
    """A proxy in front of `store`; passes everything on until told otherwise."""
    async with FaultProxy(store.endpoint_url) as running:
        yield running


@pytest.fixture
def proxied(store: Store, proxy: FaultProxy) -> Store:
    """`store` as seen through `proxy`."""
    return store.behind(proxy.url)
