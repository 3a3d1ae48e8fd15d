"""Downloads over TLS are as careful about who answers as everything else."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import StorageFailure
from tests.backends.s3.test_fast_client_reads import DATA, Reads, read, reads_from, whole
from tests.support.certificates import Authority
from tests.support.raw_store import RawStore, Wire, sends

__all__ = ["reads_from"]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    return authority


async def test_a_body_comes_whole_over_tls_and_the_connection_is_kept(
    reads_from: Reads, authority: Authority
) -> None:
    async with RawStore(sends(whole()), tls=authority.server("127.0.0.1")) as store:
        backend = await reads_from(store)
        for _ in range(3):
            assert await read(backend) == DATA
        assert store.connections == 1


async def test_the_authorities_of_the_environment_count(
    reads_from: Reads, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    monkeypatch.delenv("AWS_CA_BUNDLE")
    async with RawStore(sends(whole()), tls=authority.server("localhost")) as store:
        assert await read(await reads_from(store, endpoint_url=store.url("localhost"))) == DATA


async def refused(backend: S3Backend, store: RawStore) -> None:
    with pytest.raises(StorageFailure, match="cannot be reached") as raised:
        await read(backend)
    assert "SSLError" in str(raised.value.detail)
    assert store.requests == []


async def test_a_store_under_another_name_is_refused(reads_from: Reads, authority: Authority) -> None:
    async with RawStore(sends(whole()), tls=authority.server("s3.test", "127.0.0.2")) as store:
        await refused(await reads_from(store), store)
        await refused(await reads_from(store, endpoint_url=store.url("localhost")), store)


async def test_a_store_of_an_unknown_authority_is_refused(
    reads_from: Reads, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    async with RawStore(sends(whole()), tls=other.server("127.0.0.1")) as store:
        await refused(await reads_from(store), store)


async def test_a_store_without_an_authority_of_our_own_is_refused(
    reads_from: Reads, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    async with RawStore(sends(whole()), tls=authority.server("127.0.0.1")) as store:
        await refused(await reads_from(store), store)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_a_store_that_speaks_only_old_tls_is_refused(reads_from: Reads, authority: Authority) -> None:
    tls = authority.server("127.0.0.1")
    careless = ssl.create_default_context(cafile=authority.file)
    for context in (tls, careless):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with RawStore(sends(whole()), tls=tls) as store:
        _, writer = await asyncio.open_connection("127.0.0.1", store.port, ssl=careless)
        writer.transport.abort()
        with pytest.raises(StorageFailure, match="cannot be reached"):
            await read(await reads_from(store))
        assert store.requests == []


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_body_cut_under_tls_is_an_error(reads_from: Reads, authority: Authority, end: str) -> None:
    async with RawStore(sends(whole()[:-1], b"", then=end), tls=authority.server("127.0.0.1")) as store:
        with pytest.raises(StorageFailure):
            await read(await reads_from(store))


async def test_a_handshake_that_never_ends_is_given_up(reads_from: Reads, authority: Authority) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, RawStore(sends(whole()), tls=authority.server("127.0.0.1")) as store:
        endpoint = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        backend = await reads_from(store, endpoint_url=endpoint, connect_timeout=timedelta(seconds=0.3))
        with pytest.raises(StorageFailure, match="cannot be reached"):
            await read(backend)


async def test_a_reader_that_leaves_closes_its_tls_connection(
    reads_from: Reads, authority: Authority
) -> None:
    async def half(wire: Wire) -> None:
        await wire.send(whole()[:10_000])
        await wire.closed_by_peer()

    async with RawStore(half, sends(whole()), tls=authority.server("127.0.0.1")) as store:
        backend = await reads_from(store, max_connections=1)
        reading = asyncio.create_task(read(backend))
        await store.until_asked(1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await store.until_open(0)
        assert await read(backend) == DATA
