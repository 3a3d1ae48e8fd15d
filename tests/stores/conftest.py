"""A server on each store that can be had; or on the one that `--store-url` names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testbed.s3_store import Space, Store
from tests.conftest import given_store
from tests.stores.lacks import LACKS, Trait
from tests.support.client_workspace import ClientWorkspace
from tests.support.clients import Clients
from tests.support.s3_client import s3_client
from tests.support.s3proxy_server import running_s3proxy
from tests.support.s3s_server import running_s3s
from tests.support.server import Server

STORES = ("seaweed", "moto", "rclone", "s3proxy", "s3s-fs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        stores = STORES if given_store(metafunc.config) is None else ("seaweed",)
        metafunc.parametrize("store", stores, indirect=True, scope="session")


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> Store:
    chosen: Store = request.getfixturevalue(request.param.replace("-", "_"))
    return chosen


@pytest.fixture(scope="session")
def s3proxy() -> Iterator[Store]:
    with running_s3proxy() as store:
        yield store


@pytest.fixture(scope="session")
def s3s_fs() -> Iterator[Store]:
    with running_s3s() as store:
        yield store


@pytest.fixture(scope="session")
def server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that one test at a time uses."""
    with store.space() as space:
        server = Server(
            tmp_path_factory.mktemp(store.name), store, space.bucket, {"s3": {"prefix": space.prefix}}
        )
        server.prefix = space.prefix + server.prefix
        try:
            yield server.start()
            assert "Traceback" not in server.output()
        finally:
            server.close()


@pytest.fixture
async def desk(server: Server, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """An empty local directory, and a remote one that nobody else uses."""
    local = tmp_path / "local"
    local.mkdir()
    async with s3_client(server.store, server.bucket) as s3:
        desk = ClientWorkspace(server, local, s3, Clients(server, tmp_path / "home"))
        if Trait.DIRECTORIES in LACKS.get(server.store.name, {}):
            server.store.empty(Space(server.bucket, server.prefix))
            desk.remote = "/"
        yield desk
