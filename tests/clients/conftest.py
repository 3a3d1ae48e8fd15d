"""A server on each of the two S3 servers for all tests, and a corner of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from testbed.processes import free_port
from testbed.s3_store import Store, new_bucket_name
from tests.clients import page
from tests.support.client_workspace import ClientWorkspace
from tests.support.clients import Clients
from tests.support.fault_proxy import FaultProxy
from tests.support.partner_server import PartnerServer
from tests.support.s3_client import s3_client
from tests.support.server import Groups, Server

Running = TypeVar("Running", bound=Server)

QUICK: Groups = {
    "s3": {
        "attempts": 3,
        "connect_timeout": 2,
        "metadata_timeout": 6,
        "data_timeout": 6,
        "stall_timeout": 2,
        "janitor_interval": 2,
        "janitor_min_age": 0,
    },
    "server": {"drain_timeout": "3s"},
}
"""Options of the servers whose storage is made to fail: they give up early."""


@pytest.fixture(scope="session")
def seaweed_server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_on(seaweed, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(moto: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """At `debug`, where each READ is a line in the log and none is answered as it arrives."""
    with running_on(moto, tmp_path_factory, {"log": {"level": "debug"}}) as server:
        yield server


@pytest.fixture(params=["seaweed", "moto"])
def server(request: pytest.FixtureRequest) -> Server:
    """The server that all tests share, on each S3 server, unless the test parametrizes `server` itself."""
    chosen: Server = request.getfixturevalue(f"{request.param}_server")
    return chosen


@pytest.fixture
async def desk(server: Server, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """A corner of the shared server: an empty remote directory and an empty local one."""
    async with desk_at(server, tmp_path) as desk:
        yield desk


@pytest.fixture(scope="session")
def keeping_server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_on(seaweed, tmp_path_factory, {"s3": {"keep_empty_directories": True}}) as server:
        yield server


@pytest.fixture
async def keeping(keeping_server: Server, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """A corner of a server that keeps directories when their last file goes."""
    async with desk_at(keeping_server, tmp_path) as desk:
        yield desk


@pytest.fixture(scope="session")
def partner_server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartnerServer]:
    with running_on(seaweed, tmp_path_factory, kind=PartnerServer) as server:
        yield server


@pytest.fixture
async def partner_desk(partner_server: PartnerServer, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """A corner of a server that has all kinds of host keys, for clients that know not all of them.

    Each login is as docs/clients.md says.
    """
    before = len(partner_server.events("login.accepted"))
    async with desk_at(partner_server, tmp_path) as desk:
        yield desk
    for login in partner_server.events("login.accepted")[before:]:
        page.compare(login)


@pytest.fixture(scope="session")
def troubled_server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives up early. Its S3 is where the fault proxy of the running test listens."""
    behind = seaweed.behind(f"http://127.0.0.1:{free_port()}")
    with running_on(seaweed, tmp_path_factory, QUICK, behind) as server:
        yield server


@contextmanager
def running_on(
    store: Store,
    directories: pytest.TempPathFactory,
    options: Groups | None = None,
    seen_as: Store | None = None,
    kind: type[Running] = Server,  # type: ignore[assignment]
) -> Iterator[Running]:
    """A server with a bucket of its own. What goes wrong in it unexpectedly fails the run at its end."""
    bucket = new_bucket_name()
    store.make_bucket(bucket)
    server = kind(directories.mktemp("server"), seen_as or store, bucket, options)
    try:
        server.start()
        yield server
        assert "Traceback" not in server.output()
    finally:
        server.close()
        store.drop_bucket(bucket)


@pytest.fixture
async def proxy(request: pytest.FixtureRequest, seaweed: Store) -> AsyncIterator[FaultProxy]:
    """Between the server of the test and SeaweedFS; passes everything on until told otherwise."""
    port = 0
    if "troubled" in request.fixturenames:
        port = urlsplit(request.getfixturevalue("troubled_server").store.endpoint_url).port or 0
    async with FaultProxy(seaweed.endpoint_url, port) as running:
        yield running


@pytest.fixture
async def troubled(
    seaweed: Store, troubled_server: Server, proxy: FaultProxy, tmp_path: Path
) -> AsyncIterator[ClientWorkspace]:
    """A corner of a server whose S3 is behind `proxy`."""
    async with desk_at(troubled_server, tmp_path, seaweed) as desk:
        yield desk
    proxy.clear()
    await troubled_server.until(
        lambda: troubled_server.count("connection.closed") == troubled_server.count("connection.identified"),
        "every connection to end, with all that it had left to do",
    )


@pytest.fixture
async def mortal(
    seaweed: Store, bucket: str, proxy: FaultProxy, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[ClientWorkspace]:
    """A corner of a server of its own, that may be killed, whose S3 is behind `proxy`.

    `parametrize("mortal", [groups], indirect=True)` changes its options.
    """
    server = Server(
        tmp_path / "server", seaweed.behind(proxy.url), bucket, QUICK | getattr(request, "param", {})
    )
    try:
        await server.astart()
        async with desk_at(server, tmp_path, seaweed) as desk:
            yield desk
        assert "Traceback" not in server.output()
    finally:
        server.close()


class desk_at:
    """A workspace on a server; looks into the bucket at `store`, past any proxy."""

    def __init__(self, server: Server, tmp_path: Path, store: Store | None = None) -> None:
        self._server = server
        self._tmp_path = tmp_path
        self._s3 = s3_client(store or server.store, server.bucket)

    async def __aenter__(self) -> ClientWorkspace:
        local = self._tmp_path / "local"
        local.mkdir()
        clients = Clients(self._server, self._tmp_path / "home")
        desk = ClientWorkspace(self._server, local, await self._s3.__aenter__(), clients)
        await desk.s3.put(desk.key_prefix)
        return desk

    async def __aexit__(self, *error: object) -> None:
        await self._s3.__aexit__(None, None, None)
