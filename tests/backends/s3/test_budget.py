"""What each operation costs in S3 requests: counted at the S3 side, and charged to whoever asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from s3sftp.backends.contract import Finish, Session, WriteIntent
from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import IsADirectory, NotFound
from s3sftp.telemetry import Costs, charging
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.kept_replica import DATA, Replica
from tests.backends.s3.upload_driver import begin, data_of, get, names, put, send
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3


@contextlib.contextmanager
def costing(proxy: FaultProxy, **apis: int) -> Iterator[None]:
    """The block costs exactly these requests, and the account says so too."""
    proxy.log.clear()
    with charging(Costs()) as costs:
        yield
    assert dict(proxy.log.by_api()) == apis
    assert dict(costs.requests) == apis
    assert costs.retries == 0


async def test_stat(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    await s3.put("tenant/file", b"x")
    await s3.put("tenant/implied/below", b"x")
    with costing(proxy):
        await backend.recent_info(place(""), ALICE)
    with costing(proxy, HeadObject=1):
        await backend.recent_info(place("file"), ALICE)
    with costing(proxy, HeadObject=1, ListObjectsV2=1):
        await backend.recent_info(place("implied"), ALICE)
    with costing(proxy, HeadObject=1, ListObjectsV2=1):
        with pytest.raises(NotFound):
            await backend.recent_info(place("nothing"), ALICE)
    with costing(proxy, HeadObject=1):  # who asks again wants to know
        await backend.recent_info(place("file"), ALICE)
    with costing(proxy, ListObjectsV2=1):
        await backend.recent_info(place("implied"), ALICE)
    with costing(proxy, HeadObject=1, ListObjectsV2=1):
        with pytest.raises(NotFound):
            await backend.recent_info(place("nothing"), ALICE)


async def test_a_small_file_is_one_put_and_its_stat_is_free(backend: S3Backend, proxy: FaultProxy) -> None:
    for size in (0, 1, PART):
        with costing(proxy, PutObject=1):
            info = await put(backend, f"f{size}", data_of(size))
        with costing(proxy):
            assert await backend.recent_info(place(f"f{size}"), ALICE) == info


async def test_a_large_file_is_create_parts_and_complete(backend: S3Backend, proxy: FaultProxy) -> None:
    with costing(proxy, CreateMultipartUpload=1, UploadPart=3, CompleteMultipartUpload=1):
        upload = await begin(backend, "f", mtime=1000.5)
        info = await send(backend, upload, data_of(2 * PART + 1), mtime=1000.5)
    with costing(proxy):
        assert await backend.recent_info(place("f"), ALICE) == info


async def test_only_the_store_knows_the_time_of_a_large_file_that_its_client_gave_none(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "f", data_of(2 * PART + 1))
    uploaded = (await s3.head("tenant/f"))["LastModified"].timestamp()
    with costing(proxy, HeadObject=1):
        assert (await backend.recent_info(place("f"), ALICE)).mtime == uploaded


async def test_a_large_file_gets_its_time_after_it_is_stored_by_one_copy(
    backend: S3Backend, proxy: FaultProxy
) -> None:
    await put(backend, "f", data_of(2 * PART + 1))
    with costing(proxy, CopyObject=1):
        await backend.set_mtime(place("f"), 1000.5, ALICE)
    with costing(proxy):
        assert (await backend.recent_info(place("f"), ALICE)).mtime == 1000.5


async def test_an_aborted_small_file_costs_nothing(backend: S3Backend, proxy: FaultProxy) -> None:
    with costing(proxy):
        upload = await begin(backend, "f")
        await backend.abort_write(upload, ALICE)


async def test_a_continued_file_copies_what_is_kept(backend: S3Backend, proxy: FaultProxy) -> None:
    requests = {
        "CreateMultipartUpload": 1,
        "UploadPartCopy": 1,
        "UploadPart": 1,
        "CompleteMultipartUpload": 1,
    }
    # at the first copied part that is not all of its source, once
    looks: list[tuple[str, int, dict[str, int]]] = [
        ("whole", PART, {}),
        ("first", PART + 1, {"GetObject": 1}),
        ("second", PART + 1, {}),
    ]
    for name, size, looked_at in looks:
        base = await put(backend, name, data_of(size))
        with costing(proxy, **requests, **looked_at):
            upload = await begin(backend, name, base=base)
            await backend.keep_range(upload, 0, PART, ALICE)
            await backend.finish_write(upload, b"more", Finish(PART + 4), ALICE)


async def test_a_range_is_one_get(backend: S3Backend, proxy: FaultProxy) -> None:
    await put(backend, "f", data_of(PART))
    with costing(proxy, GetObject=1):
        assert await get(backend, "f", 100, PART) == data_of(PART)[100:]
    with costing(proxy):
        assert await get(backend, "f", 100, 100) == b""


async def test_a_listing_is_a_list_for_each_thousand_and_no_stat_after_it(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    gate = asyncio.Semaphore(32)

    async def make(number: int) -> None:
        async with gate:
            await s3.put(f"tenant/d/{number:04}", b"x")

    await asyncio.gather(*(make(number) for number in range(1001)))
    await asyncio.sleep(2.1)  # then what the store says of them is certain
    with costing(proxy, ListObjectsV2=2, HeadObject=1001):
        assert len(await names(backend, "d")) == 1001
    with costing(proxy, ListObjectsV2=2):
        assert len(await names(backend, "d")) == 1001
    with costing(proxy):
        assert (await backend.recent_info(place("d/1000"), ALICE)).size == 1


async def test_rename_is_copy_and_delete(open_backend: Opener, s3: S3, proxy: FaultProxy) -> None:
    backend = await open_backend()
    await put(backend, "old", b"x")
    with costing(proxy, ListObjectsV2=1, CopyObject=1, DeleteObject=1):  # is the target free?
        await backend.rename(place("old"), place("new"), ALICE, overwrite=False)
    with costing(proxy, CopyObject=1, DeleteObject=1):  # no directory of that name has been seen
        await backend.rename(place("new"), place("newer"), ALICE, overwrite=True)
    assert await s3.keys() == ["tenant/newer"]
    other = await open_backend()
    with costing(proxy, HeadObject=1, CopyObject=1, DeleteObject=1):  # cold
        await other.rename(place("newer"), place("newest"), ALICE, overwrite=True)


async def test_a_directory_that_a_session_stores_files_in_is_looked_up_once_in_a_while(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/there", b"x")
    with costing(proxy, HeadObject=1, ListObjectsV2=1):
        await backend.recent_info(place("d"), ALICE)
    await put(backend, "d/f", b"x")
    with costing(proxy):
        assert (await backend.recent_info(place("d"), ALICE)).is_dir
    with costing(proxy, ListObjectsV2=1):  # what is not STAT still wants to know
        assert (await backend.file_info(place("d"), ALICE)).is_dir
    await put(backend, "new/f", b"x")
    with costing(proxy, ListObjectsV2=1):  # which is likely a directory, so no HEAD goes before
        assert (await backend.recent_info(place("new"), ALICE)).is_dir


async def test_a_directory_that_a_user_stores_files_in_on_several_connections_is_looked_up_by_one_of_them(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """rclone holds a lock over all its transfers while it looks at it, on any of its connections."""
    await s3.put("tenant/d/there", b"x")
    with costing(proxy, HeadObject=1, ListObjectsV2=1):
        await backend.recent_info(place("d"), another_session("second"))
    await put(backend, "d/f", b"x")
    with costing(proxy):
        assert (await backend.recent_info(place("d"), ALICE)).is_dir
    with costing(proxy, ListObjectsV2=1):  # it has changed nothing there, so it gets the store's answer
        assert (await backend.recent_info(place("d"), another_session("third"))).is_dir


async def test_a_directory_that_one_session_has_missed_answers_no_other_of_the_user(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "d/f", b"x")
    assert (await backend.recent_info(place("d"), another_session("second"))).is_dir
    await s3.delete("tenant/d/f")  # by somebody else
    with costing(proxy):
        assert (await backend.recent_info(place("d"), ALICE)).is_dir
    for session in (another_session("third"), ALICE):
        with pytest.raises(NotFound):
            await backend.recent_info(place("d"), session)


def another_session(session_id: str) -> Session:
    """A session of the same user."""
    return replace(ALICE, session_id=session_id)


async def test_what_rclone_does_after_an_upload_asks_for_nothing_that_is_known(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """Set the time, rename, stat."""
    await put(backend, "f.partial", b"x")
    with costing(proxy, CopyObject=2, DeleteObject=1):
        assert await backend.set_mtime(place("f.partial"), 1000.5, ALICE)
        await backend.rename(place("f.partial"), place("f"), ALICE, overwrite=True)
        info = await backend.recent_info(place("f"), ALICE)
    head = await s3.head("tenant/f")
    assert (info.size, info.mtime, info.version) == (1, 1000.5, head["ETag"])
    assert head["Metadata"]["mtime"] == "1000.5"


async def test_remove_is_one_delete_once_the_file_is_known_to_be_there(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "put", b"x")
    await s3.put("tenant/cold", b"x")
    for name in ("put", "cold"):
        with costing(proxy, HeadObject=1, DeleteObject=1):
            await backend.delete(place(name), ALICE)


async def test_a_copy_is_one_copy(backend: S3Backend, proxy: FaultProxy) -> None:
    info = await put(backend, "f", b"x")
    with costing(proxy, CopyObject=1):
        copied = await backend.copy(place("f"), place("g"), ALICE, version=info.version)
    assert copied.size == 1


async def test_directories(backend: S3Backend, proxy: FaultProxy) -> None:
    with costing(proxy, ListObjectsV2=1, PutObject=1):
        await backend.make_dir(place("d"), ALICE)
    with costing(proxy):
        assert (await backend.recent_info(place("d"), ALICE)).is_dir
    with costing(proxy, ListObjectsV2=1, DeleteObject=1):
        await backend.del_dir(place("d"), ALICE)


async def test_a_late_time_is_one_copy_more(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    with costing(proxy, PutObject=1):
        await put(backend, "f", b"x", mtime=100)
    with costing(proxy, CopyObject=1):
        assert await backend.set_mtime(place("f"), 200, ALICE)
    with costing(proxy):
        assert (await backend.recent_info(place("f"), ALICE)).mtime == 200
    await s3.put("tenant/theirs", b"x")
    with costing(proxy, HeadObject=1, CopyObject=1):
        assert await backend.set_mtime(place("theirs"), 200, ALICE)


async def test_writing_to_a_name_that_was_a_directory_is_refused_where_it_still_is_one(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/x", b"")
    await backend.recent_info(place("d"), ALICE)
    with costing(proxy, ListObjectsV2=1, HeadObject=1), pytest.raises(IsADirectory):
        await backend.begin_write(place("d"), WriteIntent(), ALICE)
    await s3.delete("tenant/d/x")
    with costing(proxy, ListObjectsV2=1):
        await backend.begin_write(place("d"), WriteIntent(), ALICE)


async def test_an_upload_that_may_be_kept_costs_a_record_when_it_has_parts(
    backend: S3Backend, proxy: FaultProxy
) -> None:
    """The record is written with the first part, and deleted when the file is visible."""
    replica = Replica(backend)
    with costing(proxy, PutObject=1):
        small = await replica.begin("small")
        await backend.finish_write(small, b"x", Finish(1), ALICE)
    parts = {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
    with costing(proxy, **parts, PutObject=1, DeleteObject=1):
        large = await replica.begin("large")
        await replica.send(large, 2)
        await backend.finish_write(large, b"x", Finish(2 * PART + 1), ALICE)


async def test_what_is_kept_and_continued_costs(backend: S3Backend, proxy: FaultProxy) -> None:
    replica = Replica(backend)
    parts = {"CreateMultipartUpload": 1, "UploadPart": 2}
    # the record at the first part; is there a file, and room for it; the tail and the record
    with costing(proxy, **parts, PutObject=3, HeadObject=1, ListObjectsV2=1):
        await replica.lose(2, DATA[2 * PART : 2 * PART + 10])
    with costing(proxy, GetObject=1, ListParts=1):
        assert await replica.size() == 2 * PART + 10
    # the record is read and written, the tail read; in the end both are deleted
    looks = {"GetObject": 2, "ListParts": 1, "PutObject": 1, "DeleteObject": 2}
    with costing(proxy, **looks, UploadPart=2, CompleteMultipartUpload=1):
        await replica.go_on()
    with costing(proxy, GetObject=1):
        assert await replica.size() is None


async def test_what_is_kept_of_a_small_file_costs(backend: S3Backend, proxy: FaultProxy) -> None:
    replica = Replica(backend)
    with costing(proxy, PutObject=2, HeadObject=1, ListObjectsV2=1):
        await replica.lose(0, b"tail")
    with costing(proxy, GetObject=2, PutObject=2, DeleteObject=2):
        await replica.go_on(b"tail, and more")


async def test_what_is_thrown_away_costs(backend: S3Backend, proxy: FaultProxy) -> None:
    replica = Replica(backend)
    await replica.lose(1, b"tail")
    with costing(proxy, GetObject=1, DeleteObject=2, AbortMultipartUpload=1):
        assert await replica.kept.discard(place("f"), ALICE, by_removal=True)
