"""Who goes on with an upload that lost its line gets what the bucket has then, whatever was shown before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from s3sftp.errors import Changed, NotFound, StorageError
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.transfer_record import FailureReason
from s3sftp.fs.write.upload_pipeline import WriteMode
from testbed.s3_store import Store
from tests.backends.s3.conftest import PART
from tests.fs.lost_uploads import (
    DATA,
    EXISTING,
    GOING_ON,
    KEPT,
    PLAIN,
    NewSession,
    X,
    lose,
    nothing_is_left,
    sessions_on,
    size_of,
    two_servers,
    write,
)
from tests.support.s3_client import S3

REST = DATA[KEPT:] + b"more"
pytestmark = pytest.mark.parametrize("mode", GOING_ON.values(), ids=GOING_ON)


@pytest.fixture
async def volumes(store: Store, bucket: str) -> AsyncIterator[list[OpenStorage]]:
    async with two_servers(store, bucket) as opened:
        yield opened


@pytest.fixture
def session(volumes: list[OpenStorage]) -> NewSession:
    return sessions_on(volumes)


async def _body(s3: S3) -> bytes:
    return await s3.body("tenant/x")


@pytest.mark.parametrize("server", [0, 1])
async def test_of_two_who_go_on_one_succeeds(
    session: NewSession, s3: S3, mode: WriteMode, server: int
) -> None:
    await lose(session())
    one, two = session(), session(server=server)
    assert await size_of(one) == await size_of(two) == KEPT
    first, second = await one.open_writer(X, mode), await two.open_writer(X, mode)
    await first.write(KEPT, REST)
    if server == 0:
        with pytest.raises(Changed, match="another session of yours"):
            await second.write(KEPT, b"other")
        await second.abort(FailureReason.CONNECTION_LOST)
        await first.close()
        assert await _body(s3) == DATA + b"more"
    else:  # who comes last has it, because the first may be gone
        await second.write(KEPT, DATA[KEPT:] + b"other")
        await second.close()
        with pytest.raises(StorageError):
            await first.close()
        assert await _body(s3) == DATA + b"other"
    await nothing_is_left(s3)


@pytest.mark.parametrize("server", [0, 1])
async def test_what_another_session_has_removed_is_not_continued(
    session: NewSession, s3: S3, mode: WriteMode, server: int
) -> None:
    await lose(session())
    files = session()
    assert await size_of(files) == KEPT
    upload = await files.open_writer(X, mode)
    await session(server=server).remove(X)
    with pytest.raises(
        StorageError, match="the file was removed" if server == 0 else "gone: send the file again"
    ):
        await upload.write(KEPT, REST)
    with pytest.raises(StorageError):
        await upload.close()
    assert await s3.keys("tenant/x") == []
    await nothing_is_left(s3)


async def test_a_removal_while_another_replica_goes_on_leaves_nothing(
    session: NewSession, s3: S3, mode: WriteMode
) -> None:
    await lose(session())
    upload = await write(session(), REST, mode, KEPT)
    await session(server=1).remove(X)
    with pytest.raises(StorageError):
        await upload.close()
    assert await s3.keys("tenant/x") == []
    await nothing_is_left(s3)


@pytest.mark.parametrize("server", [0, 1])
async def test_what_another_session_has_finished_is_not_changed(
    session: NewSession, s3: S3, mode: WriteMode, server: int
) -> None:
    await lose(session())
    files = session()
    assert await size_of(files) == KEPT
    upload = await files.open_writer(X, mode)
    await (await write(session(server=server), REST, PLAIN, KEPT)).close()
    with pytest.raises(Changed):
        await upload.write(KEPT, REST)
    await upload.abort(FailureReason.CONNECTION_LOST)
    assert await _body(s3) == DATA + b"more"
    await nothing_is_left(s3)


async def test_an_upload_that_the_store_has_aborted_is_not_continued(
    session: NewSession, s3: S3, mode: WriteMode
) -> None:
    await lose(session())
    files = session()
    assert await size_of(files) == KEPT
    upload = await files.open_writer(X, mode)
    [(key, upload_id)] = await s3.multipart_uploads()
    await s3.client.abort_multipart_upload(Bucket=s3.bucket, Key=key, UploadId=upload_id)
    with pytest.raises(Changed, match="gone: send the file again"):
        await upload.write(KEPT, REST)
    await upload.abort(FailureReason.CONNECTION_LOST)
    assert await size_of(files) is None
    assert await s3.keys("tenant/x") == []


async def test_a_client_is_not_given_less_than_it_was_shown(
    session: NewSession, s3: S3, mode: WriteMode
) -> None:
    """Its bytes would come behind the wrong ones."""
    await lose(session())
    files = session()
    assert await size_of(files) == KEPT
    upload = await files.open_writer(X, mode)
    await lose(session(server=1), DATA[: PART + 10])
    with pytest.raises(Changed, match=f"only {PART + 9} bytes"):
        await upload.write(0 if mode.append else KEPT, REST)
    await upload.abort()
    assert await size_of(files) == PART + 9
    upload = await write(files, DATA[PART + 9 :], mode, PART + 9)
    await upload.close()
    assert await _body(s3) == DATA


@pytest.mark.parametrize("shown", [KEPT - 5, 2 * PART])
async def test_a_client_that_was_shown_less_goes_on_there(
    session: NewSession, s3: S3, mode: WriteMode, shown: int
) -> None:
    """What another session has added since is not what it counts on."""
    await lose(session(), DATA[: shown + 1])
    files = session()
    assert await size_of(files) == shown
    upload = await files.open_writer(X, mode)
    await lose(session(server=1), DATA[shown:], PLAIN, shown)
    await upload.write(0 if mode.append else shown, DATA[shown:])
    await upload.close()
    assert await _body(s3) == DATA
    await nothing_is_left(s3)


async def test_a_file_that_came_since_stat_is_not_mixed_with_the_rest(
    session: NewSession, s3: S3, mode: WriteMode
) -> None:
    await lose(session())
    files = session()
    assert await size_of(files) == KEPT
    await s3.put("tenant/x", b"of another tool")
    upload = await files.open_writer(X, mode)
    with pytest.raises(Changed, match="a file has come to this name"):
        await upload.write(KEPT, REST)
    await upload.abort(FailureReason.CONNECTION_LOST)
    assert await _body(s3) == b"of another tool"
    assert await size_of(files) == 15
    await (await write(files, b" and more", mode, 15)).close()
    assert await _body(s3) == b"of another tool and more"


@pytest.mark.parametrize("count", [1000, len(DATA)], ids=["small", "in parts"])
async def test_what_another_session_is_still_sending_is_not_continued(
    session: NewSession, s3: S3, mode: WriteMode, count: int
) -> None:
    """STAT shows its size, but its bytes would be missing."""
    running = await write(session(), DATA[:count])
    files = session()
    assert await size_of(files) == count
    if mode is EXISTING:
        with pytest.raises(NotFound):
            await files.open_writer(X, mode)
    else:
        upload = await files.open_writer(X, mode)
        with pytest.raises(Changed, match="another session of yours is writing this file"):
            await upload.write(count, b"the rest")
        await upload.abort(FailureReason.CONNECTION_LOST)
    assert await s3.keys("tenant/x") == []
    await running.close()
    assert await _body(s3) == DATA[:count]


async def test_who_was_shown_an_upload_that_was_then_lost_misses_no_byte(
    session: NewSession, s3: S3, mode: WriteMode
) -> None:
    """What is kept of it has a byte less than what STAT has shown."""
    running = await write(session(), DATA)
    files = session()
    assert await size_of(files) == len(DATA)
    await running.abort(FailureReason.CONNECTION_LOST)
    upload = await files.open_writer(X, mode)
    with pytest.raises(Changed, match=f"only {KEPT} bytes"):
        await upload.write(0 if mode.append else len(DATA), b"more")
    assert await s3.keys("tenant/x") == []
    await upload.abort(FailureReason.CONNECTION_LOST)
    assert await size_of(files) == KEPT
