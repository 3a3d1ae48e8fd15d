"""Keys that are no names, and markers with content, are not removed or overwritten without a word."""

from __future__ import annotations

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import AlreadyExists, IsADirectory, NotEmpty
from tests.backends.s3.conftest import ALICE, place
from tests.backends.s3.test_listing import fill
from tests.backends.s3.upload_driver import names
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Meanwhile
from tests.support.logs import capture_events
from tests.support.s3_client import S3

STORES = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
MOTO = pytest.mark.parametrize("store", ["moto"], indirect=True)
"""It keeps keys as they are."""


@MOTO
@pytest.mark.parametrize("hidden", ["d//x", "d/../x", "d/./x", "d/\uf761", "d/a\\b"])
@pytest.mark.parametrize("made", [True, False], ids=["with a marker", "without one"])
async def test_a_directory_with_objects_that_are_not_shown_is_not_empty(
    backend: S3Backend, s3: S3, hidden: str, made: bool
) -> None:
    if made:
        await s3.put("tenant/d/", b"")
    await fill(s3, f"tenant/{hidden}", "tenant/keep")
    keys = await s3.keys()
    assert await names(backend, "d") == []
    with capture_events() as log, pytest.raises(NotEmpty, match="not shown"):
        await backend.del_dir(place("d"), ALICE)
    assert [each["key"] for each in log if each["event"] == "directory.removal_blocked"] == [
        f"tenant/{hidden}"
    ]
    assert await s3.keys() == keys


@MOTO
async def test_the_content_of_a_marker_is_not_removed(backend: S3Backend, s3: S3) -> None:
    await s3.put("tenant/d/", b"somebody's bytes")
    assert await names(backend, "d") == []
    with pytest.raises(NotEmpty, match="not shown"):
        await backend.del_dir(place("d"), ALICE)
    with pytest.raises(AlreadyExists):
        await backend.make_dir(place("d"), ALICE)
    with pytest.raises(IsADirectory):
        await backend.delete(place("d"), ALICE)
    assert await s3.body("tenant/d/") == b"somebody's bytes"
    await s3.delete("tenant/d/")
    await s3.put("tenant/d/", b"")
    await backend.del_dir(place("d"), ALICE)
    assert await s3.keys() == []


@MOTO
async def test_the_content_of_a_marker_moves_with_its_directory(backend: S3Backend, s3: S3) -> None:
    await s3.put("tenant/old/", b"somebody's bytes")
    await s3.put("tenant/old/sub/", b"more")
    await fill(s3, "tenant/old/f")
    await backend.rename(place("old"), place("new"), ALICE, overwrite=False)
    assert await s3.keys() == ["tenant/new/", "tenant/new/f", "tenant/new/sub/"]
    assert await s3.body("tenant/new/") == b"somebody's bytes"
    assert await s3.body("tenant/new/sub/") == b"more"


@MOTO
async def test_the_content_of_a_marker_that_comes_meanwhile_is_not_overwritten(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/old/", b"")
    await fill(s3, "tenant/old/f")
    put = proxy.on("PutObject", do=Meanwhile(lambda: s3.put("tenant/new/", b"somebody's bytes")), times=1)
    with pytest.raises(AlreadyExists):
        await backend.rename(place("old"), place("new"), ALICE, overwrite=False)
    assert put.hits == 1
    assert await s3.body("tenant/new/") == b"somebody's bytes"
    assert await s3.exists("tenant/old/f")


@MOTO
async def test_a_directory_takes_along_what_is_not_shown(backend: S3Backend, s3: S3) -> None:
    hidden = ["//x", "/../keep", "/a\\b", "/./y"]
    await fill(s3, "tenant/keep", "tenant/old/f", *(f"tenant/old{each}" for each in hidden))
    version = (await s3.head("tenant/keep"))["LastModified"]
    await backend.rename(place("old"), place("new"), ALICE, overwrite=False)
    moved = ["tenant/keep", "tenant/new/f", *(f"tenant/new{each}" for each in hidden)]
    assert await s3.keys() == sorted(moved)
    assert (await s3.head("tenant/keep"))["LastModified"] == version


@MOTO
async def test_a_directory_does_not_take_the_name_of_one_with_hidden_content(
    backend: S3Backend, s3: S3
) -> None:
    await fill(s3, "tenant/old/f", "tenant/new//x")
    with pytest.raises(AlreadyExists):
        await backend.rename(place("old"), place("new"), ALICE, overwrite=True)
    assert await s3.keys() == ["tenant/new//x", "tenant/old/f"]


@STORES
async def test_an_empty_directory_goes(backend: S3Backend, s3: S3) -> None:
    await backend.make_dir(place("d"), ALICE)
    await backend.del_dir(place("d"), ALICE)
    assert await s3.keys() == []
