"""What a user sees of uploads that lost their line, by path and by handle, on a bucket."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import AlreadyExists, InvalidRequest, NotFound, StorageError, Unsupported
from s3sftp.fs import VirtualPath
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.transfer_record import FailureReason
from s3sftp.fs.write import upload_pipeline
from s3sftp.fs.write.upload_pipeline import WriteMode
from testbed.s3_store import Store
from tests.backends.s3.conftest import PART
from tests.fs.lost_uploads import (
    APPEND,
    DATA,
    EXCL,
    EXISTING,
    GOING_ON,
    KEPT,
    PLAIN,
    TRUNC,
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
@pytest.mark.parametrize("mode", GOING_ON.values(), ids=GOING_ON)
async def test_stat_shows_what_is_safe_and_open_goes_on_there(
    session: NewSession, s3: S3, server: int, mode: WriteMode
) -> None:
    await lose(session())
    files = session(server=server)
    assert await size_of(files) == KEPT
    upload = await files.open_writer(X, mode)
    info = await upload.stat()
    assert info is not None
    assert info.size == KEPT
    await upload.write(0 if mode.append else KEPT, DATA[KEPT:] + b"more")
    assert await s3.keys("tenant/x") == []
    await upload.close()
    assert await _body(s3) == DATA + b"more"
    await nothing_is_left(s3)


async def test_another_user_sees_and_gets_nothing(session: NewSession, s3: S3) -> None:
    await lose(session())
    bob = session("bob")
    assert await size_of(bob) is None
    with pytest.raises(NotFound):
        await bob.remove(X)
    upload = await write(bob, b"b", at=KEPT, mode=PLAIN)
    with pytest.raises(InvalidRequest, match="never written"):
        await upload.close()
    assert await size_of(session()) == KEPT


async def test_no_listing_shows_it(session: NewSession) -> None:
    await lose(session())
    listing = await session().open_dir(VirtualPath.parse(b"/"))
    names = [entry.name for entry in await listing.next_page() or ()]
    await listing.close()
    assert set(names) <= {b".", b".."}


async def test_it_cannot_be_read(session: NewSession) -> None:
    await lose(session())
    with pytest.raises(NotFound):
        await session().open_reader(X)


@pytest.mark.parametrize("mode", [TRUNC, EXCL], ids=["trunc", "excl"])
async def test_open_with_truncation_throws_it_away(session: NewSession, s3: S3, mode: WriteMode) -> None:
    await lose(session())
    upload = await session().open_writer(X, mode)
    await nothing_is_left(s3)
    await upload.write(0, b"new")
    await upload.close()
    assert await _body(s3) == b"new"


async def test_remove_throws_it_away(session: NewSession, s3: S3) -> None:
    await lose(session())
    files = session()
    await files.remove(X)
    assert await size_of(files) is None
    with pytest.raises(NotFound):
        await files.remove(X)
    await nothing_is_left(s3)


async def test_a_rename_onto_the_name_throws_it_away(session: NewSession, s3: S3) -> None:
    await lose(session())
    await s3.put("tenant/y", b"y")
    await session().rename(VirtualPath.parse(b"/y"), X, overwrite=False)
    assert await _body(s3) == b"y"
    await nothing_is_left(s3)


@pytest.mark.parametrize("change", ["remove", "rename"])
async def test_a_change_of_the_name_waits_for_what_is_just_being_kept(
    session: NewSession, volumes: list[OpenStorage], s3: S3, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    backend = volumes[0].backend
    assert isinstance(backend, S3Backend)
    await s3.put("tenant/y", b"y")
    files = session()
    upload = await write(files, DATA)
    await upload.sync()
    held, goes_on = asyncio.Event(), asyncio.Event()
    call = backend.client.call

    async def slow(api: str, **parameters: Any) -> Any:
        if api == "PutObject" and str(parameters["Key"]).endswith(".tail"):
            held.set()
            await goes_on.wait()
        return await call(api, **parameters)

    monkeypatch.setattr(backend.client, "call", slow)
    waits, wait = asyncio.Event(), upload.over.wait

    async def waited() -> Any:
        waits.set()
        return await wait()

    monkeypatch.setattr(upload.over, "wait", waited)
    losing = asyncio.create_task(upload.abort(FailureReason.CONNECTION_LOST))
    await held.wait()
    other = session()
    y = VirtualPath.parse(b"/y")
    changing = asyncio.create_task(
        other.remove(X) if change == "remove" else other.rename(y, X, overwrite=False)
    )
    until_it_waits = asyncio.create_task(waits.wait())
    await asyncio.wait([changing, until_it_waits], return_when=asyncio.FIRST_COMPLETED)
    assert until_it_waits.done(), "the name has changed meanwhile"
    goes_on.set()
    await asyncio.gather(losing, changing)
    await nothing_is_left(s3)
    assert await s3.keys("tenant/x") == ([] if change == "remove" else ["tenant/x"])


@pytest.mark.parametrize("size", [10, len(DATA)])
async def test_writing_from_the_start_begins_anew(session: NewSession, s3: S3, size: int) -> None:
    await lose(session())
    other = random.Random(1).randbytes(size)
    upload = await write(session(), other, PLAIN)
    await upload.close()
    assert await _body(s3) == other
    await nothing_is_left(s3)


async def test_a_client_may_go_on_within_the_tail_or_at_a_part(session: NewSession, s3: S3) -> None:
    for at in (2 * PART + 10, 2 * PART, PART):
        await lose(session())
        changed = DATA[:at] + random.Random(2).randbytes(len(DATA) - at)
        upload = await write(session(), changed[at:], PLAIN, at)
        await upload.close()
        assert await _body(s3) == changed
        await nothing_is_left(s3)
        await session().remove(X)


async def test_a_write_into_a_stored_part_is_refused_and_costs_nothing(session: NewSession) -> None:
    await lose(session())
    upload = await session().open_writer(X, PLAIN)
    with pytest.raises(Unsupported, match=f"{KEPT} bytes are stored"):
        await upload.write(PART + 1, b"x")
    with pytest.raises(Unsupported):
        await upload.close()
    assert await size_of(session()) == KEPT


async def test_a_write_before_the_continued_offset_is_refused(session: NewSession) -> None:
    await lose(session())
    upload = await write(session(), DATA[KEPT:], PLAIN, KEPT)
    with pytest.raises(Unsupported, match=f"the first {2 * PART} bytes are stored"):
        await upload.write(5, b"x")
    await upload.abort()


async def test_a_file_that_is_opened_and_closed_publishes_nothing(session: NewSession, s3: S3) -> None:
    await lose(session())
    upload = await session().open_writer(X, PLAIN)
    with pytest.raises(InvalidRequest, match="unfinished upload"):
        await upload.close()
    assert await s3.keys("tenant/x") == []
    assert await size_of(session()) == KEPT


async def test_a_file_that_is_opened_and_closed_publishes_nothing_if_it_is_gone_since(
    session: NewSession, s3: S3
) -> None:
    await lose(session())
    files = session()
    assert await size_of(files) == KEPT
    upload = await files.open_writer(X, EXISTING)
    await session(server=1).remove(X)
    with pytest.raises(InvalidRequest, match="unfinished upload"):
        await upload.close()
    assert await s3.keys("tenant/x") == []


async def test_stat_shows_what_another_session_has_just_lost(session: NewSession, s3: S3) -> None:
    """That nothing was there a moment ago is no answer, and neither is it for REMOVE."""
    files = session()
    assert await size_of(files) is None
    await lose(session())
    assert await size_of(files) == KEPT
    other = session()
    await files.remove(X)
    assert await size_of(other) is None
    await lose(session())
    await other.remove(X)
    await nothing_is_left(s3)


async def test_a_stored_file_has_its_own_size_and_is_not_mixed_with_it(session: NewSession, s3: S3) -> None:
    await lose(session())
    await s3.put("tenant/x", b"stored")
    files = session()
    assert await size_of(files) == 6
    upload = await write(files, b" and more", PLAIN, 6)
    await upload.close()
    assert await _body(s3) == b"stored and more"


async def test_a_file_that_is_stored_meanwhile_is_not_replaced(session: NewSession, s3: S3) -> None:
    await lose(session())
    upload = await write(session(), DATA[KEPT:], PLAIN, KEPT)
    await s3.put("tenant/x", b"stored")
    with pytest.raises(AlreadyExists):
        await upload.close()
    assert await _body(s3) == b"stored"


async def test_a_close_that_fails_keeps_nothing(session: NewSession, s3: S3) -> None:
    upload = await write(session(), DATA)
    upload.fail(StorageError("a WRITE was refused"))
    with pytest.raises(StorageError):
        await upload.close()
    await nothing_is_left(s3)


async def test_a_file_over_which_an_upload_was_lost_stays_as_it_was(session: NewSession, s3: S3) -> None:
    await s3.put("tenant/x", b"stored")
    await lose(session())
    assert await size_of(session()) == 6
    await nothing_is_left(s3)


def _requests_of(volume: OpenStorage) -> list[str]:
    """The requests that a server sends from now on."""
    backend = volume.backend
    assert isinstance(backend, S3Backend)
    asked: list[str] = []
    request = backend.client.request

    async def noted(api: str, **parameters: Any) -> Any:
        asked.append(api)
        return await request(api, **parameters)

    backend.client.request = noted  # type: ignore[method-assign]
    return asked


async def test_an_open_after_a_stat_asks_no_more(session: NewSession, volumes: list[OpenStorage]) -> None:
    files = session()
    assert await size_of(files) is None
    asked = _requests_of(volumes[0])
    upload = await write(files, b"small")
    await upload.close()
    assert asked == ["PutObject"], "STAT has just said that nothing is kept"


async def test_where_nothing_is_kept_an_append_costs_one_look(
    session: NewSession, volumes: list[OpenStorage], s3: S3
) -> None:
    files = session()
    asked = _requests_of(volumes[0])
    upload = await write(files, b"small", APPEND)
    await upload.close()
    assert asked == ["HeadObject", "ListObjectsV2", "GetObject", "HeadObject", "PutObject"]
    assert await _body(s3) == b"small"


async def test_an_upload_in_parts_costs_two_requests_more(
    session: NewSession, volumes: list[OpenStorage]
) -> None:
    await (await write(session(), DATA)).close()  # the store's conditions are probed once
    files = session()
    asked = _requests_of(volumes[0])
    upload = await write(files, DATA)
    await upload.close()
    most = {"GetObject": 1, "PutObject": 1, "DeleteObject": 1, "HeadObject": 1}
    for api in ("CreateMultipartUpload", *("UploadPart",) * 3, "CompleteMultipartUpload"):
        asked.remove(api)
    assert {api: asked.count(api) for api in asked if asked.count(api) > most.get(api, 0)} == {}


async def test_chunks_that_are_never_stored_do_not_hold_up_the_end(
    session: NewSession, volumes: list[OpenStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = volumes[0].backend
    assert isinstance(backend, S3Backend)
    monkeypatch.setattr(upload_pipeline, "_KEEP_SECONDS", 0.05)
    call = backend.client.call

    async def held(api: str, **parameters: Any) -> Any:
        if api == "UploadPart" and parameters["PartNumber"] == 2:
            await asyncio.Event().wait()
        return await call(api, **parameters)

    upload = await session().open_writer(X, TRUNC)
    await upload.write(0, DATA[: PART + 1])
    await upload.sync()
    monkeypatch.setattr(backend.client, "call", held)
    await upload.write(PART + 1, DATA[PART + 1 :])
    await upload.abort(FailureReason.CONNECTION_LOST)
    assert await size_of(session()) == PART


async def test_any_way_of_losing_and_going_on_ends_in_the_same_file(session: NewSession, s3: S3) -> None:
    """Lines that are lost again and again, at offsets that nobody chose, on either server."""
    rng = random.Random(4)
    for _ in range(4):
        await lose(session(), DATA[: rng.randrange(2, len(DATA))])
        for _ in range(3):
            files = session(server=rng.randrange(2))
            size = await size_of(files)
            assert size is not None
            stop = rng.randrange(size + 1, len(DATA) + 1)
            await lose(files, DATA[size:stop], rng.choice([PLAIN, APPEND]), size)
        files = session(server=rng.randrange(2))
        size = await size_of(files)
        assert size is not None
        upload = await write(files, DATA[size:], PLAIN, size)
        await upload.close()
        assert await _body(s3) == DATA
        await nothing_is_left(s3)
        await files.remove(X)
