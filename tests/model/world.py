"""The server on a storage whose keys can be seen and changed past it, and which fails on command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pydantic import SecretStr

from s3sftp.backends import Place
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.s3 import S3Backend, S3Options
from s3sftp.errors import Busy, StorageError, StorageFailure, TimedOut
from s3sftp.fs import FileOptions
from testbed.s3_store import Store, new_bucket_name
from tests.model.expected import Files
from tests.sftp.session_server import Serving, serving
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import FOREVER, Action, Answer, LoseReply, Reset
from tests.support.logs import Level
from tests.support.s3_client import S3, s3_client

MIB = 1 << 20


@dataclass(frozen=True)
class Fault:
    """What goes wrong during one operation: its n-th call of the storage, once or from then on."""

    kind: int
    call: int
    lasts: bool


class Hits:
    """Whether the fault came to pass."""

    count = 0


class World(Protocol):
    """A running server, and the storage behind it."""

    server: Serving
    unit: int
    """A size that is small here: a few of them make a chunk."""
    meddles: bool
    """Whether somebody else changes the storage; then the server must not remember."""
    loses_replies: bool
    """Whether an operation that the storage has done may be told as failed."""

    has_ghosts: bool
    """Whether the storage goes on listing a directory that was only implied and is empty now, as filers with
    an S3 front do; S3 itself does not."""

    async def files(self) -> Files:
        """All keys below the server's prefix, and their bytes."""

    async def put(self, key: bytes, data: bytes) -> None:
        """Store an object behind the server's back."""

    async def delete(self, key: bytes) -> None:
        """Delete an object behind the server's back."""

    async def unfinished_uploads(self) -> int:
        """Uploads that nobody will finish, once no file is open."""

    def failing(self, fault: Fault | None) -> AbstractAsyncContextManager[Hits]:
        """Let calls of the storage fail inside the block."""


class MemoryWorld:
    """With chunks so small that a few bytes make several."""

    unit = 40
    meddles = True
    loses_replies = False
    has_ghosts = False

    def __init__(self, backend: MemoryBackend, server: Serving) -> None:
        self.server = server
        self._backend = backend

    @property
    def _prefix(self) -> bytes:
        return self.server.prefix.encode()

    async def files(self) -> Files:
        stored = self._backend.objects.items()
        return {k.removeprefix(self._prefix): each.data for k, each in stored if k.startswith(self._prefix)}

    async def put(self, key: bytes, data: bytes) -> None:
        self._backend.put(self._prefix + key, data)

    async def delete(self, key: bytes) -> None:
        self._backend.objects.pop(self._prefix + key, None)

    async def unfinished_uploads(self) -> int:
        return self._backend.open_uploads

    @asynccontextmanager
    async def failing(self, fault: Fault | None) -> AsyncIterator[Hits]:
        with self._failing(fault) as hits:
            yield hits

    @contextmanager
    def _failing(self, fault: Fault | None) -> Iterator[Hits]:
        hits, calls = Hits(), 0
        errors: list[type[StorageError]] = [Busy, StorageFailure, TimedOut]

        def fail(method: str, place: Place) -> None:
            nonlocal calls
            calls += 1
            if fault is not None and (calls == fault.call or (fault.lasts and calls > fault.call)):
                hits.count += 1
                raise errors[fault.kind % len(errors)]

        self._backend.fail = fail
        try:
            yield hits
        finally:
            self._backend.fail = None


@asynccontextmanager
async def memory_world(log_level: Level | None = None) -> AsyncIterator[MemoryWorld]:
    backend = MemoryBackend(
        chunk_bytes=100,
        min_chunk_bytes=30,
        keep_unit_bytes=7,
        parallel_chunks=3,
        chunk_growth_bytes=10,
        page_entries=2,
        read_bytes=70,
    )
    async with serving(backend, log_level=log_level) as server:
        yield MemoryWorld(backend, server)
        backend.objects.clear()


class S3World:
    """A real S3 server behind a proxy that breaks things."""

    unit = 2 * MIB
    loses_replies = True

    def __init__(
        self,
        s3: S3,
        proxy: FaultProxy,
        backend: S3Backend,
        server: Serving,
        *,
        meddles: bool,
        has_ghosts: bool,
    ) -> None:
        self._backend = backend
        self.server = server
        self.meddles = meddles
        self.has_ghosts = has_ghosts
        self._s3 = s3
        self._proxy = proxy

    async def files(self) -> Files:
        prefix = self.server.prefix
        keys = await self._s3.keys(prefix)
        return {key.removeprefix(prefix).encode(): await self._s3.body(key) for key in keys if key != prefix}

    async def put(self, key: bytes, data: bytes) -> None:
        await self._s3.put(self.server.prefix + key.decode(), data)

    async def delete(self, key: bytes) -> None:
        await self._s3.delete(self.server.prefix + key.decode())

    async def unfinished_uploads(self) -> int:
        """Those that are left when the janitor has looked for the ones whose ids nobody heard."""
        await self._backend.janitor.sweep()
        return len(await self._s3.multipart_uploads())

    def forget(self) -> None:
        """Drop what is noted of sessions and requests that have ended: it would grow for ever."""
        self.server.sessions.clear()
        self._proxy.log.clear()

    @asynccontextmanager
    async def failing(self, fault: Fault | None) -> AsyncIterator[Hits]:
        hits = Hits()
        if fault is None:
            yield hits
            return
        actions: list[Action] = [Answer(503, "SlowDown"), Reset(), LoseReply(), Answer(500, "InternalError")]
        action = actions[fault.kind % len(actions)]
        rule = self._proxy.on(do=action, skip=fault.call - 1, times=FOREVER if fault.lasts else 1)
        try:
            yield hits
        finally:
            hits.count = rule.hits
            self._proxy.clear()


@asynccontextmanager
async def s3_world(store: Store, *, meddles: bool) -> AsyncIterator[S3World]:
    """With somebody else at work in the bucket the server must not remember; alone it must, correctly."""
    bucket = new_bucket_name()
    store.make_bucket(bucket)
    async with FaultProxy(store.endpoint_url) as proxy, s3_client(store, bucket) as s3:
        options = S3Options(
            bucket=bucket,
            endpoint_url=proxy.url,
            region=store.region,
            addressing="path",
            access_key_id=SecretStr(store.access_key),
            secret_access_key=SecretStr(store.secret_key),
            part_bytes=5 * MIB,
            attempts=3,
            cache_ttl=timedelta(0) if meddles else timedelta(hours=1),
            janitor_min_age=timedelta(0),
        )
        backend = S3Backend(options, None)
        async with serving(backend, files=FileOptions()) as server:
            yield S3World(s3, proxy, backend, server, meddles=meddles, has_ghosts=store.name == "seaweed")
    store.drop_bucket(bucket)
