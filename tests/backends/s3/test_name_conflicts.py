"""What this server makes hides nothing, and is hidden by nothing; where nobody knows, nothing is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends.contract import Finish
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.metadata.created_names import CreatedKind, CreatedNames
from s3sftp.errors import IsADirectory, NotADirectory
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from tests.backends.s3.conftest import ALICE, Opener, place
from tests.backends.s3.test_budget import costing
from tests.backends.s3.upload_driver import begin, put
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3

FORGETFUL = {"cache_ttl": 0}
"""No fact is believed for any time: what is still known is what the server remembers to have made."""


async def _copy(backend: S3Backend, path: str) -> None:
    await backend.copy(place("source"), place(path), ALICE, version=None)


async def _move(backend: S3Backend, path: str) -> None:
    await backend.rename(place("source"), place(path), ALICE, overwrite=False)


async def _move_over(backend: S3Backend, path: str) -> None:
    await backend.rename(place("source"), place(path), ALICE, overwrite=True)


async def _put(backend: S3Backend, path: str) -> None:
    await put(backend, path, b"file")


WAYS: dict[str, Callable[[S3Backend, str], Awaitable[object]]] = {
    "put": _put,
    "copy": _copy,
    "rename": _move,
    "rename over": _move_over,
}


@pytest.mark.parametrize("ttl", [0, 60], ids=["remembered", "known"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_file_is_not_put_below_one_that_the_server_made(
    open_backend: Opener, s3: S3, way: str, ttl: int
) -> None:
    backend = await open_backend(cache_ttl=ttl)
    await put(backend, "d/made", b"made")
    await put(backend, "source", b"source")
    for below in ("d/made/f", "d/made/deep/f"):
        with pytest.raises(NotADirectory):
            await WAYS[way](backend, below)
    assert await s3.keys() == ["tenant/d/made", "tenant/source"]


@pytest.mark.parametrize("ttl", [0, 60], ids=["remembered", "known"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_file_is_not_put_over_a_directory_that_the_server_made(
    open_backend: Opener, s3: S3, way: str, ttl: int
) -> None:
    backend = await open_backend(cache_ttl=ttl)
    await put(backend, "implied/deep/f", b"made")
    await backend.make_dir(place("marked"), ALICE)
    await put(backend, "source", b"source")
    before = await s3.keys()
    for directory in ("implied", "implied/deep", "marked"):
        with pytest.raises(Exception) as refused:  # noqa: PT011 — a rename says AlreadyExists
            await WAYS[way](backend, directory)
        assert way.startswith("rename") or refused.type is IsADirectory
    assert await s3.keys() == before


@pytest.mark.parametrize(
    ("upload", "meanwhile", "refusal"),
    [("a", "a/b", IsADirectory), ("a/b", "a", NotADirectory), ("a/b/c", "a", NotADirectory)],
)
async def test_what_the_server_made_since_the_upload_was_opened_is_not_hidden_by_it(
    open_backend: Opener, s3: S3, upload: str, meanwhile: str, refusal: type[Exception]
) -> None:
    backend = await open_backend(**FORGETFUL)
    begun = await begin(backend, upload)
    await put(backend, meanwhile, b"made")
    with pytest.raises(refusal):
        await backend.finish_write(begun, b"", Finish(0), ALICE)
    await backend.abort_write(begun, ALICE)
    assert await s3.keys() == [f"tenant/{meanwhile}"]


async def test_what_a_moved_tree_brought_is_remembered(open_backend: Opener) -> None:
    backend = await open_backend(**FORGETFUL)
    await put(backend, "d/sub/f", b"made")
    await backend.make_dir(place("d/empty"), ALICE)
    await backend.rename(place("d"), place("moved"), ALICE, overwrite=False)
    with pytest.raises(NotADirectory):
        await put(backend, "moved/sub/f/below", b"")
    with pytest.raises(IsADirectory):
        await put(backend, "moved/sub", b"")
    with pytest.raises(IsADirectory):
        await put(backend, "moved/empty", b"")


async def test_where_nobody_knows_nothing_is_asked(open_backend: Opener, s3: S3, proxy: FaultProxy) -> None:
    """Not before the first upload into a directory, nor before any later one."""
    backend = await open_backend(**FORGETFUL)
    await s3.put("tenant/theirs", b"put by somebody else")
    for path in ("a/b/c/f", "a/b/c/g", "a/h", "theirs/f", "a/h"):
        with costing(proxy, PutObject=1):
            await put(backend, path, b"x")


async def test_what_is_remembered_in_error_is_asked_for_once(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """Others have removed the file, and the directory: now the names may be of the other kind."""
    backend = await open_backend(**FORGETFUL)
    await put(backend, "name", b"")
    await put(backend, "other/f", b"")
    await s3.delete("tenant/name")
    await s3.delete("tenant/other/f")
    with costing(proxy, HeadObject=1, ListObjectsV2=1, PutObject=1):
        await put(backend, "name/f", b"")
    with costing(proxy, PutObject=1):
        await put(backend, "name/g", b"")
    with costing(proxy, ListObjectsV2=1, PutObject=1):
        await put(backend, "other", b"")


def test_all_workers_remember_what_one_has_made() -> None:
    descriptor = create_shared_file(8, 2)
    first, second = (CreatedNames(SharedCounters.shared(descriptor, 2, column)) for column in range(2))
    first.note("d/file", CreatedKind.FILE)
    first.note_below("d/file")
    assert second.is_noted("d/file", CreatedKind.FILE)
    assert second.is_noted("d", CreatedKind.DIRECTORY)
    assert not second.is_noted("d/file", CreatedKind.DIRECTORY)
    second.forget("d/file")
    assert not first.is_noted("d/file", CreatedKind.FILE)


def test_a_slot_that_is_taken_makes_room_and_is_never_mistaken() -> None:
    names = CreatedNames(SharedCounters.alone(1))
    names.note("one", CreatedKind.FILE)
    names.note("two", CreatedKind.FILE)
    names.forget("one")
    assert names.is_noted("two", CreatedKind.FILE)
    assert not names.is_noted("one", CreatedKind.FILE)
