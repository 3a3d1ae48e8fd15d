"""A rename that was interrupted is finished by the same rename; it takes nothing else for its own traces."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import AlreadyExists, Busy, Changed, NotFound, PermissionDenied
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Meanwhile
from tests.support.s3_client import S3

REFUSED = Answer(403, "AccessDenied")
STORES = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)


async def rename(backend: S3Backend, source: str, target: str, *, overwrite: bool = False) -> None:
    await backend.rename(place(source), place(target), ALICE, overwrite=overwrite)


@STORES
async def test_what_is_stored_below_a_tree_while_it_moves_stays(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    for name in ("a", "b"):
        await put(backend, f"d/{name}", b"old")

    async def others() -> None:
        await s3.put("tenant/d/a", b"replaced")
        await s3.put("tenant/d/new", b"new")

    proxy.on("ListObjectsV2", query="max-keys=1000", do=Meanwhile(others), skip=1, times=1)
    with pytest.raises(Changed):
        await rename(backend, "d", "e")
    assert await s3.keys() == ["tenant/d/a", "tenant/d/new", "tenant/e/a", "tenant/e/b"]
    assert await s3.body("tenant/d/a") == b"replaced"
    assert await s3.body("tenant/e/a") == b"old"
    with pytest.raises(AlreadyExists):
        await rename(backend, "d", "e")
    assert await s3.body("tenant/e/a") == b"old"


@STORES
async def test_one_that_was_interrupted_when_only_directories_were_left_is_finished(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await backend.make_dir(place("d"), ALICE)
    await put(backend, "d/a", b"a")
    proxy.on("DeleteObjects", do=REFUSED, skip=1, times=1)
    proxy.on("DeleteObject", do=REFUSED, times=1)
    with pytest.raises(PermissionDenied):
        await rename(backend, "d", "e")
    assert await s3.keys() == ["tenant/d/", "tenant/e/", "tenant/e/a"]
    await rename(backend, "d", "e")
    assert await s3.keys() == ["tenant/e/", "tenant/e/a"]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("ours", [True, False])
async def test_one_that_was_interrupted_between_two_batches_of_files_is_finished(
    backend: S3Backend, s3: S3, proxy: FaultProxy, ours: bool
) -> None:
    for number in range(7):
        if ours:
            await put(backend, f"d/{number}", b"x")
        else:
            await s3.put(f"tenant/d/{number}", b"x")
    proxy.on("DeleteObjects", do=REFUSED, skip=1, times=1)
    with pytest.raises(PermissionDenied):
        await rename(backend, "d", "e")
    assert len([key for key in await s3.keys() if key.startswith("tenant/d/")]) == 2
    await s3.put("tenant/e/0", b"meanwhile another's")
    await rename(backend, "d", "e")
    assert await s3.keys() == [f"tenant/e/{number}" for number in range(7)]
    assert await s3.body("tenant/e/0") == b"meanwhile another's"


@STORES
async def test_files_written_in_parts_are_known_again_although_their_copies_have_other_etags(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    for name in ("a", "b"):
        await put(backend, f"d/{name}", data_of(PART + 1))
    proxy.on("DeleteObjects", do=REFUSED, times=1)
    with pytest.raises(PermissionDenied):
        await rename(backend, "d", "e")
    proxy.log.clear()
    await rename(backend, "d", "e")
    assert await s3.keys() == ["tenant/e/a", "tenant/e/b"]
    assert proxy.log.count("CopyObject") == 0  # what is there is not written again


@STORES
async def test_a_directory_with_one_copy_and_another_file_of_equal_size_is_not_overwritten(
    backend: S3Backend, s3: S3
) -> None:
    await put(backend, "d/1", b"same")
    await put(backend, "d/2", b"AAAA")
    await backend.copy(place("d/1"), place("e/1"), ALICE, version=None)
    await put(backend, "e/2", b"MINE")
    with pytest.raises(AlreadyExists):
        await rename(backend, "d", "e")
    assert await s3.body("tenant/e/2") == b"MINE"
    assert len(await s3.keys()) == 4


@STORES
async def test_files_on_both_sides_are_not_merged(backend: S3Backend, s3: S3) -> None:
    await put(backend, "d/both", b"x")
    await put(backend, "d/here", b"x")
    await backend.copy(place("d/both"), place("e/both"), ALICE, version=None)
    await put(backend, "e/there", b"x")
    with pytest.raises(AlreadyExists):
        await rename(backend, "d", "e")
    assert len(await s3.keys()) == 4


@STORES
async def test_an_empty_directory_does_not_vanish_in_another(backend: S3Backend, s3: S3) -> None:
    for path in ("d", "e"):
        await backend.make_dir(place(path), ALICE)
    await put(backend, "e/f", b"x")
    with pytest.raises(AlreadyExists):
        await rename(backend, "d", "e")
    assert await s3.keys() == ["tenant/d/", "tenant/e/", "tenant/e/f"]


async def test_a_target_too_large_to_be_compared_is_in_the_way(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(max_tree_objects=2)
    for key in ("d/1", "e/1", "e/2", "e/3"):
        await s3.put(f"tenant/{key}", b"x")
    with pytest.raises(AlreadyExists):
        await rename(backend, "d", "e")
    assert len(await s3.keys()) == 4


@STORES
async def test_another_programs_file_is_moved_by_the_second_try(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/old", b"theirs")
    proxy.on("DeleteObject", do=Answer(503, "SlowDown"), times=3)
    with pytest.raises(Busy):
        await rename(backend, "old", "new")
    assert await s3.keys() == ["tenant/new", "tenant/old"]
    await rename(backend, "old", "new")
    assert await s3.keys() == ["tenant/new"]
    await s3.put("tenant/other", b"theirs2")
    with pytest.raises(AlreadyExists):
        await rename(backend, "new", "other")
    assert await s3.body("tenant/other") == b"theirs2"


@pytest.mark.parametrize("act", ["rename", "rename over", "copy"])
async def test_a_source_that_another_server_replaced_is_taken_as_it_is(
    open_backend: Opener, s3: S3, act: str
) -> None:
    backend = await open_backend(cache_ttl=timedelta(seconds=60))
    await put(backend, "f", b"one")
    await s3.put("tenant/f", b"two22")
    if act == "copy":
        await backend.copy(place("f"), place("g"), ALICE, version=None)
    else:
        await rename(backend, "f", "g", overwrite=act == "rename over")
    assert await s3.body("tenant/g") == b"two22"


async def test_a_source_that_has_become_a_directory_is_moved_as_one(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(cache_ttl=timedelta(seconds=60))
    await put(backend, "f", b"one")
    await s3.delete("tenant/f")
    await s3.put("tenant/f/x", b"two")
    await rename(backend, "f", "g")
    assert await s3.keys() == ["tenant/g/x"]


async def test_a_source_that_another_server_removed_is_not_found(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(cache_ttl=timedelta(seconds=60))
    await put(backend, "f", b"one")
    await s3.delete("tenant/f")
    with pytest.raises(NotFound):
        await rename(backend, "f", "g")
    assert await s3.keys() == []


async def test_a_target_without_etag_is_not_taken_for_our_copy(
    backend: S3Backend, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    await s3.put("tenant/old", b"mine")
    await s3.put("tenant/new", b"theirs")
    call = backend.client.call

    async def without_etag(api: str, **parameters: Any) -> dict[str, Any]:
        answer = await call(api, **parameters)
        return {name: value for name, value in answer.items() if name != "ETag"}

    monkeypatch.setattr(backend.client, "call", without_etag)
    with pytest.raises(AlreadyExists):
        await backend._copying.object("tenant/old", "tenant/new", FileInfo.file(4), exclusive=True)
    assert await s3.body("tenant/new") == b"theirs"
