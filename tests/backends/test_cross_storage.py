"""Files go from one storage to another whole, and none is lost whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from s3sftp.backends import FileInfo, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.router import StorageRouter, copies_inside
from s3sftp.backends.s3 import S3Backend, S3Options
from s3sftp.backends.s3.user_sessions import UserSessionsBackend
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotFound,
    PermissionDenied,
    StorageError,
    StorageFailure,
)
from s3sftp.telemetry import Costs, charging
from testbed.s3_store import Store
from tests.backends.storages import s3_options
from tests.support.logs import capture_events
from tests.support.s3_client import S3, s3_client

ME = Session("alice")
DATA = bytes(range(100))
HERE, THERE = Place((b"d", b"f")), Place((b"e", b"g"), "archive")


class FailingBackend(MemoryBackend):
    """Calls `meddle` when a method is called; it may raise."""

    def __init__(self, files: dict[str, bytes] | None = None, **more: int) -> None:
        super().__init__(files or {}, chunk_bytes=7, **more)
        self.meddle: Callable[[str], object] = lambda method: None

    async def _call(self, method: str, place: Place) -> None:
        found = self.meddle(method)
        if asyncio.iscoroutine(found):
            await found
        await super()._call(method, place)


def storages() -> tuple[StorageRouter, FailingBackend, FailingBackend]:
    left, right = FailingBackend({"d/f": DATA}), FailingBackend()
    return StorageRouter({"": left, "archive": right}), left, right


async def test_a_file_is_moved_with_its_time() -> None:
    router, left, right = storages()
    await left.set_mtime(HERE, 12345.0, ME)
    await router.rename(HERE, THERE, ME, overwrite=False)
    assert left.objects == {}
    assert await router.read_file(THERE, ME) == DATA
    assert (await router.file_info(THERE, ME)).mtime == 12345.0
    assert right.open_uploads == 0


async def test_a_copy_leaves_the_source_and_replaces_the_target() -> None:
    router, left, right = storages()
    right.put(b"e/g", b"old")
    info = await router.copy(HERE, THERE, ME, version=(await left.file_info(HERE, ME)).version)
    assert info.size == len(DATA)
    assert await router.read_file(HERE, ME) == await router.read_file(THERE, ME) == DATA
    with pytest.raises(Changed):
        await router.copy(HERE, THERE, ME, version="another")
    with pytest.raises(IsADirectory):
        await router.copy(HERE.parent, THERE, ME, version=None)


async def test_an_empty_file_is_moved() -> None:
    router, left, _ = storages()
    left.put(b"d/f", b"")
    await router.rename(HERE, THERE, ME, overwrite=False)
    assert (await router.file_info(THERE, ME)).size == 0
    assert left.objects == {}


async def test_a_taken_name_is_replaced_only_if_the_client_wants_that() -> None:
    router, left, right = storages()
    right.put(b"e/g", b"old")
    with pytest.raises(AlreadyExists):
        await router.rename(HERE, THERE, ME, overwrite=False)
    assert await router.read_file(THERE, ME) == b"old"
    await router.rename(HERE, THERE, ME, overwrite=True)
    assert (await router.read_file(THERE, ME), left.objects) == (DATA, {})
    with pytest.raises(NotFound):
        await router.rename(HERE, THERE, ME, overwrite=True)
    assert await router.read_file(THERE, ME) == DATA


async def test_a_directory_at_the_target_stays() -> None:
    router, left, right = storages()
    right.put(b"e/g/x", b"old")
    with pytest.raises((AlreadyExists, IsADirectory)):
        await router.rename(HERE, THERE, ME, overwrite=True)
    assert (left.objects.keys(), right.objects.keys()) == ({b"d/f"}, {b"e/g/x"})


async def test_a_name_that_is_taken_during_the_copy_is_not_replaced() -> None:
    router, left, right = storages()

    def taken(method: str) -> None:
        if method == "finish_write":
            right.put(b"e/g", b"of another")

    right.meddle = taken
    with pytest.raises(AlreadyExists):
        await router.rename(HERE, THERE, ME, overwrite=False)
    assert await router.read_file(THERE, ME) == b"of another"
    assert left.objects.keys() == {b"d/f"}


async def test_a_source_that_is_replaced_after_the_copy_stays_beside_it() -> None:
    router, left, right = storages()

    def replaced(method: str) -> None:
        if method == "finish_write":
            left.put(b"d/f", b"new")

    right.meddle = replaced
    with pytest.raises(Changed):
        await router.rename(HERE, THERE, ME, overwrite=False)
    assert await router.read_file(HERE, ME) == b"new"


@pytest.mark.parametrize("fails_in", ["left", "right"])
@pytest.mark.parametrize("error", [StorageFailure(), PermissionDenied(), asyncio.CancelledError()], ids=repr)
async def test_whatever_fails_the_file_is_whole_somewhere_and_nothing_unfinished_is_left(
    fails_in: str, error: BaseException
) -> None:
    """Every call is made to fail in turn, until one run needs fewer calls than that."""
    for failing in range(100):
        router, left, right = storages()
        calls = 0

        def fail(method: str) -> None:
            nonlocal calls
            calls += 1
            if calls == failing + 1 and method != "abort_write":  # noqa: B023
                raise error

        (left if fails_in == "left" else right).meddle = fail
        with suppress(StorageError, asyncio.CancelledError):
            await router.rename(HERE, THERE, ME, overwrite=False)
        left.meddle = right.meddle = lambda method: None
        copies = [b.objects[key].data for b, key in ((left, b"d/f"), (right, b"e/g")) if key in b.objects]
        assert copies, f"the file is lost if call {failing} fails"
        assert all(bytes(data) == DATA for data in copies)
        assert right.open_uploads == 0
        if calls <= failing:
            assert failing >= 2
            assert left.objects == {}
            return
    pytest.fail("it never succeeds")


# ── two buckets ─────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def two_buckets(
    store: Store, other: Store, **of_target: object
) -> AsyncIterator[tuple[StorageRouter, S3, S3]]:
    """A router over a bucket of each store, and what is really in both."""
    with store.space() as one, other.space() as two:
        left, right = s3_options(store, one, 0), s3_options(other, two, 0)
        right = S3Options.model_validate(right.model_dump() | of_target)
        router = StorageRouter({"": S3Backend(left), "archive": S3Backend(right)})
        async with s3_client(store, one.bucket) as at_left, s3_client(other, two.bucket) as at_right:
            await router.start()
            try:
                yield router, at_left, at_right
            finally:
                await router.stop()


async def put(router: StorageRouter, place: Place, data: bytes, mtime: float) -> FileInfo:
    await router.write_file(place, data, ME)
    await router.set_mtime(place, mtime, ME)
    return await router.file_info(place, ME)


@pytest.mark.parametrize(
    ("size", "api"), [(0, "CopyObject"), (1000, "CopyObject"), (12 << 20, "UploadPartCopy")]
)
async def test_between_buckets_of_one_store_the_store_copies(store: Store, size: int, api: str) -> None:
    data = b"x" * size
    async with two_buckets(store, store, copy_part_bytes=5 << 20) as (router, left, right):
        await put(router, HERE, data, 12345.0)
        assert copies_inside(router, HERE, THERE, ME)
        with charging(Costs()) as costs:
            await router.rename(HERE, THERE, ME, overwrite=True)
        assert costs.requests[api] >= 1
        assert "GetObject" not in costs.requests
        assert "PutObject" not in costs.requests
        assert await router.read_file(THERE, ME) == data
        assert (await router.file_info(THERE, ME)).mtime == 12345.0
        with pytest.raises(NotFound):
            await router.file_info(HERE, ME)
        assert len(await right.keys("")) == 1
        assert await right.multipart_uploads() == []
        assert [key for key in await left.keys("") if not key.endswith("/")] == []


async def test_a_name_taken_in_another_bucket_is_not_replaced(store: Store) -> None:
    async with two_buckets(store, store) as (router, _, _):
        await put(router, HERE, b"new", 1.0)
        await put(router, THERE, b"old", 2.0)
        with pytest.raises(AlreadyExists):
            await router.rename(HERE, THERE, ME, overwrite=False)
        assert await router.read_file(THERE, ME) == b"old"
        assert await router.read_file(HERE, ME) == b"new"
        await router.rename(HERE, THERE, ME, overwrite=True)
        assert await router.read_file(THERE, ME) == b"new"


async def test_to_another_store_the_server_copies(store: Store, moto: Store) -> None:
    data = b"y" * (12 << 20)
    async with two_buckets(store, moto) as (router, left, right):
        await put(router, HERE, data, 12345.0)
        assert not copies_inside(router, HERE, THERE, ME)
        await router.rename(HERE, THERE, ME, overwrite=False)
        assert await router.read_file(THERE, ME) == data
        assert (await router.file_info(THERE, ME)).mtime == 12345.0
        assert [key for key in await left.keys("") if not key.endswith("/")] == []
        assert await right.multipart_uploads() == []


@asynccontextmanager
async def one_bucket_by_two_names(store: Store) -> AsyncIterator[StorageRouter]:
    """A router over one bucket, whose store is named by its address and by its host name."""
    with store.space() as space:
        by_address = s3_options(store, space, 0)
        assert by_address.endpoint_url is not None
        by_name = by_address.endpoint_url.replace("127.0.0.1", "localhost")
        assert by_name != by_address.endpoint_url
        other = S3Options.model_validate(by_address.model_dump() | {"endpoint_url": by_name})
        router = StorageRouter({"": S3Backend(by_address), "archive": S3Backend(other)})
        await router.start()
        try:
            yield router
        finally:
            await router.stop()


async def test_a_file_moved_onto_itself_by_another_name_of_its_bucket_is_not_lost(seaweed: Store) -> None:
    """The copy has the content of the file, and so its ETag, and comes within the same second."""
    async with one_bucket_by_two_names(seaweed) as router:
        await router.write_file(HERE, DATA, ME)
        with capture_events() as events, pytest.raises(InvalidRequest, match="same file"):
            await router.rename(HERE, Place(HERE.names, "archive"), ME, overwrite=True)
        assert await router.read_file(HERE, ME) == DATA
        (event,) = [each for each in events if each["event"] == "storage.has_two_names"]
        assert (event["source"], event["target"]) == ("", "archive")


async def test_a_file_moved_elsewhere_by_another_name_of_its_bucket_is_moved(seaweed: Store) -> None:
    async with one_bucket_by_two_names(seaweed) as router:
        await router.write_file(HERE, DATA, ME)
        await router.rename(HERE, THERE, ME, overwrite=True)
        assert await router.read_file(THERE, ME) == DATA
        with pytest.raises(NotFound):
            await router.file_info(HERE, ME)


async def test_a_source_that_is_replaced_by_the_same_content_while_it_is_copied_stays(
    seaweed: Store, moto: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_buckets(seaweed, moto) as (router, _, _):
        await router.write_file(HERE, DATA, ME)
        target = router.storages["archive"]
        finish = target.finish_write

        async def replaced(*arguments: Any) -> FileInfo:
            info = await finish(*arguments)
            await router.write_file(HERE, DATA, ME)
            return info

        monkeypatch.setattr(target, "finish_write", replaced)
        with pytest.raises(Changed):
            await router.rename(HERE, THERE, ME, overwrite=True)
        assert await router.read_file(HERE, ME) == DATA


async def test_an_access_point_may_be_the_bucket_itself(store: Store) -> None:
    """The store would copy an object onto itself: the server copies, which shows whether it is one."""
    with store.space() as space:
        bucket = s3_options(store, space, 0)
    for name in ("ap-0123456789abcdef-s3alias", "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap"):
        point = S3Options.model_validate(bucket.model_dump() | {"bucket": name})
        assert not S3Backend(bucket).copies_from(S3Backend(point))
        assert not S3Backend(point).copies_from(S3Backend(bucket))


async def test_where_the_store_denies_the_copy_the_server_copies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_buckets(store, store) as (router, _, _):
        await put(router, HERE, b"data", 12345.0)
        target = router.storages["archive"]
        assert isinstance(target, S3Backend)
        call = target.client.call

        async def denied(api: str, **parameters: object) -> object:
            if api == "CopyObject":
                raise PermissionDenied
            return await call(api, **parameters)

        monkeypatch.setattr(target.client, "call", denied)
        await router.rename(HERE, THERE, ME, overwrite=True)
        assert await router.read_file(THERE, ME) == b"data"
        with pytest.raises(NotFound):
            await router.file_info(HERE, ME)


async def test_a_source_replaced_behind_the_servers_back_stays(store: Store) -> None:
    async with two_buckets(store, store) as (router, _, _):
        info = await put(router, HERE, b"one", 1.0)
        await router.write_file(HERE, b"another", ME)
        target, source = router.storages["archive"], router.storages[""]
        with pytest.raises(Changed):
            await target.copy_from(source, HERE, Place(THERE.names), info, ME, exclusive=False)
        with pytest.raises(Changed):
            await source.remove_version(HERE, info, ME)
        assert await router.read_file(HERE, ME) == b"another"


async def test_other_credentials_are_another_account(store: Store) -> None:
    with store.space() as space:
        options = s3_options(store, space, 0)
    same = S3Options.model_validate(options.model_dump() | {"bucket": "other", "region": "eu-west-1"})
    other = S3Options.model_validate(options.model_dump() | {"access_key_id": "AKOTHER"})
    assert S3Backend(options).copies_from(S3Backend(same))
    assert not S3Backend(options).copies_from(S3Backend(other))
    assert not S3Backend(options).copies_from(MemoryBackend())


async def test_a_bucket_within_session_policies_is_read_with_users_credentials_alone(store: Store) -> None:
    """A copy inside the store is requested by the target's client, which knows no user."""
    with store.space() as space:
        role = {"role_arn": "arn:aws:iam::123456789012:role/sftp"}
        options = S3Options.model_validate(s3_options(store, space, 0).model_dump() | role)
    enforced = S3Options.model_validate(options.model_dump() | {"session_policies": True})
    assert not S3Backend(options).copies_from(UserSessionsBackend(enforced))
    assert not UserSessionsBackend(enforced).copies_from(S3Backend(options))
