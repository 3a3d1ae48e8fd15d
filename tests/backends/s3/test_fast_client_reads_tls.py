"""Downloads over TLS are as careful about who answers as everything else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiobotocore.httpsession import AIOHTTPSession

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.botocore_client import prepare_client
from s3sftp.errors import StorageFailure
from testbed.certificates import Authority
from tests.backends.s3.test_fast_client_reads import DATA, Reads, options, read, reads_from, whole
from tests.support.raw_store import RawStore, Wire, head_of, sends

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


async def refused(backend: S3Backend, store: RawStore, after: int = 0) -> None:
    with pytest.raises(StorageFailure, match="cannot be reached") as raised:
        await read(backend)
    assert "SSLError" in str(raised.value.detail)
    assert len(store.requests) == after


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


@asynccontextmanager
async def tunnels() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that connects to whatever it is asked for: its address, and the heads of what it was asked."""
    asked: list[str] = []
    ends: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        host, _, port = asked[-1].split()[1].rpartition(":")
        there, onward = await asyncio.open_connection(host, int(port))
        ends.extend((writer, onward))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pass_on(reader, onward), pass_on(there, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
        for end in ends:
            end.close()


async def test_a_proxy_passes_tls_on_and_sees_no_request(
    reads_from: Reads, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with (
        RawStore(sends(whole()), tls=authority.server("localhost")) as store,
        tunnels() as (url, asked),
    ):
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, url)
        backend = await reads_from(store, endpoint_url=store.url("localhost"))
        for _ in range(3):
            assert await read(backend) == DATA
        assert store.connections == len(asked) == 1
        assert asked[0].startswith("CONNECT localhost:")
        assert "authorization" not in asked[0].lower()
        assert all("user-agent: s3sftp/" in request.lower() for request in store.requests)


async def test_a_proxy_that_refuses_or_is_not_there_is_an_error_with_its_name(
    reads_from: Reads, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    refusal = head_of("407 Proxy Authentication Required", "Content-Length: 0")
    async with RawStore(sends(refusal)) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url().replace("//", "//me:secret@"))
        backend = await reads_from(proxy, endpoint_url="https://s3.test")
        errors = [await error_of(backend)]
    errors.append(await error_of(backend))
    for error in errors:
        assert "ProxyConnectionError" in error.detail
        assert "127.0.0.1" in error.detail
        assert "secret" not in error.detail


async def error_of(backend: S3Backend) -> StorageFailure:
    with pytest.raises(StorageFailure, match="cannot be reached") as raised:
        await read(backend)
    return raised.value


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


@pytest.mark.skipif(
    not hasattr(AIOHTTPSession, "_build_verify_context"), reason="this aiobotocore reads them when it opens"
)
async def test_certificates_that_were_read_before_the_fork_count_and_are_not_read_again(
    reads_from: Reads, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawStore(sends(whole()), tls=authority.server("127.0.0.1")) as store:
        await prepare_client(options(store))
        authority.file.write_bytes(Authority(tmp_path, "other").file.read_bytes())
        assert await read(await reads_from(store)) == DATA
        await refused(await reads_from(store), store, after=1)
