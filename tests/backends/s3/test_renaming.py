"""A rename leaves the file at one of its names or at both, never at neither; nothing beside it is touched."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import (
    AlreadyExists,
    Busy,
    Changed,
    InvalidRequest,
    NotADirectory,
    NotFound,
    PermissionDenied,
    StorageError,
    Unsupported,
)
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import data_of, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, LoseReply, Meanwhile, Reset
from tests.support.s3_client import S3

LARGE = data_of(3 * PART)
TREE = ("tenant/d/", "tenant/d/a", "tenant/d/sub/b", "tenant/d/made/")


async def fill(s3: S3, *keys: str) -> None:
    for key in keys:
        await s3.put(key, b"" if key.endswith("/") else key.encode())


async def rename(backend: S3Backend, source: str, target: str, *, overwrite: bool = False) -> None:
    await backend.rename(place(source), place(target), ALICE, overwrite=overwrite)


@pytest.fixture(params=["at once", "in parts"])
async def copier(request: pytest.FixtureRequest, open_backend: Opener) -> S3Backend:
    """A backend that copies large files by one request, and one that does it in parts."""
    return await open_backend(copy_part_bytes=PART if request.param == "in parts" else 5 << 30)


async def test_content_metadata_type_and_tags_move_along(copier: S3Backend, s3: S3) -> None:
    await s3.put(
        "tenant/old",
        LARGE,
        ContentType="text/csv",
        CacheControl="no-store",
        Metadata={"mtime": "1000.5", "owner": "partner"},
        Tagging="class=a%20b&x=y",
    )
    await rename(copier, "old", "new")
    assert await s3.keys() == ["tenant/new"]
    assert await s3.body("tenant/new") == LARGE
    head = await s3.head("tenant/new")
    assert (head["ContentType"], head["CacheControl"]) == ("text/csv", "no-store")
    assert head["Metadata"]["owner"] == "partner"
    tags = await s3.client.get_object_tagging(Bucket=s3.bucket, Key="tenant/new")
    assert {tag["Key"]: tag["Value"] for tag in tags["TagSet"]} == {"class": "a b", "x": "y"}
    assert (await copier.file_info(place("new"), ALICE)).mtime == 1000.5


async def test_a_large_file_is_copied_in_parts_at_once(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(copy_part_bytes=PART)
    await s3.put("tenant/old", LARGE)
    await rename(backend, "old", "new")
    assert (proxy.log.count("UploadPartCopy"), proxy.log.count("CopyObject")) == (3, 0)
    sources = {seen.copy_source for seen in proxy.log.of("UploadPartCopy")}
    assert sources == {f"{s3.bucket}/tenant/old"}


@pytest.mark.parametrize(
    "fault", [Answer(503, "SlowDown"), Answer(200, "InternalError"), Reset(), LoseReply()]
)
async def test_a_passing_fault_is_not_seen(
    copier: S3Backend, s3: S3, proxy: FaultProxy, fault: Answer
) -> None:
    await s3.put("tenant/old", LARGE)
    apis = ("CopyObject", "UploadPartCopy", "CompleteMultipartUpload")
    rules = [proxy.on(api, do=fault, times=1) for api in apis]
    if fault != Answer(200, "InternalError"):
        rules.append(proxy.on("DeleteObject", do=fault, times=1))
    await rename(copier, "old", "new")
    assert sum(rule.hits for rule in rules) >= 1
    assert await s3.keys() == ["tenant/new"]
    assert await s3.body("tenant/new") == LARGE
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize("api", ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"])
@pytest.mark.parametrize("status", [200, 503])
async def test_a_lasting_fault_while_copying_leaves_the_source_and_nothing_else(
    open_backend: Opener, s3: S3, proxy: FaultProxy, api: str, status: int
) -> None:
    backend = await open_backend(copy_part_bytes=5 << 30 if api == "CopyObject" else PART)
    await s3.put("tenant/old", LARGE)
    proxy.on(api, do=Answer(status, "SlowDown"))
    with pytest.raises(StorageError):
        await rename(backend, "old", "new")
    assert await s3.keys() == ["tenant/old"]
    assert await s3.multipart_uploads() == []


async def test_a_fault_between_copy_and_delete_leaves_both_and_the_next_try_finishes(
    copier: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(copier, "old", LARGE)
    refused = proxy.on("DeleteObject", do=Answer(503, "SlowDown"), times=3)
    with pytest.raises(Busy):
        await rename(copier, "old", "new")
    assert refused.hits == 3
    assert await s3.keys() == ["tenant/new", "tenant/old"]
    await rename(copier, "old", "new")
    assert await s3.keys() == ["tenant/new"]
    assert await s3.body("tenant/new") == LARGE


async def test_a_tree_moves_whole_and_what_is_beside_it_stays(backend: S3Backend, s3: S3) -> None:
    await fill(s3, *TREE, "tenant/dd/a", "tenant/d.csv", "tenant2/d/a")
    await rename(backend, "d", "e")
    moved = sorted(key.replace("tenant/d/", "tenant/e/") for key in TREE)
    assert await s3.keys() == sorted([*moved, "tenant/dd/a", "tenant/d.csv", "tenant2/d/a"])
    assert await s3.body("tenant/e/sub/b") == b"tenant/d/sub/b"


async def test_a_directory_is_there_before_anything_in_it_is_copied(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3, *TREE)
    there_before: list[list[str]] = []

    async def look() -> None:
        await asyncio.sleep(0.2)  # what is on its way arrives
        there_before.append(await s3.keys("tenant/e/"))

    proxy.on("PutObject", do=Meanwhile(look), key="/$")
    await rename(backend, "d", "e")
    assert there_before == [[], ["tenant/e/"]]


@pytest.mark.usefixtures("small_pages")
async def test_a_tree_of_more_than_a_page_moves_whole(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    await fill(s3, *(f"tenant/d/{number:02}" for number in range(12)))
    await rename(backend, "d", "e")
    assert await s3.keys() == [f"tenant/e/{number:02}" for number in range(12)]
    assert proxy.log.count("DeleteObjects") == 3


async def test_a_fault_in_a_tree_loses_nothing_and_the_next_try_finishes(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    for name in ("a", "b", "sub/c"):
        await put(backend, f"d/{name}", name.encode())
    before = await s3.keys()
    proxy.on("CopyObject", do=Answer(503, "SlowDown"), key="d/b|e/b", times=3)
    with pytest.raises(Busy):
        await rename(backend, "d", "e")
    assert set(before) <= set(await s3.keys())
    await rename(backend, "d", "e")
    assert await s3.keys() == ["tenant/e/a", "tenant/e/b", "tenant/e/sub/c"]
    proxy.on("DeleteObjects", do=Answer(403, "AccessDenied"), times=1)
    with pytest.raises(PermissionDenied):
        await rename(backend, "e", "f")
    assert len(await s3.keys()) == 6
    await rename(backend, "e", "f")
    assert await s3.keys() == ["tenant/f/a", "tenant/f/b", "tenant/f/sub/c"]


async def test_a_directory_is_not_merged_into_another_that_has_the_same_names(
    backend: S3Backend, s3: S3
) -> None:
    for path in ("d/a", "e/a"):
        await put(backend, path, b"same size")
    with pytest.raises(AlreadyExists):
        await rename(backend, "d", "e", overwrite=True)
    assert await s3.keys() == ["tenant/d/a", "tenant/e/a"]


async def test_a_source_replaced_while_it_is_copied_is_not_lost(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "old", b"first")
    proxy.on("DeleteObject", do=Meanwhile(lambda: s3.put("tenant/old", b"second")), times=1)
    with pytest.raises(Changed):
        await rename(backend, "old", "new")
    assert await s3.body("tenant/old") == b"second"
    assert await s3.body("tenant/new") == b"first"


async def test_a_target_that_comes_meanwhile_is_not_replaced(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "old", b"mine")
    proxy.on("CopyObject", do=Meanwhile(lambda: s3.put("tenant/new", b"theirs")), times=1)
    with pytest.raises(AlreadyExists):
        await rename(backend, "old", "new")
    assert await s3.body("tenant/new") == b"theirs"
    assert await s3.body("tenant/old") == b"mine"


async def test_a_store_without_conditional_copies_is_remembered(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("CopyObject", do=Answer(501, "NotImplemented"), times=1)
    await put(backend, "old", b"x")
    await rename(backend, "old", "new")
    await rename(backend, "new", "newer")
    assert await s3.keys() == ["tenant/newer"]
    assert proxy.log.count("CopyObject") == 1, "it is not tried again"
    ends = proxy.log.of("CompleteMultipartUpload")
    assert [seen.headers.get("if-none-match") for seen in ends] == ["*", "*"]


async def test_what_makes_no_sense_is_refused(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(max_tree_objects=3)
    await fill(s3, *TREE, "tenant/f")
    for source, target, expected in (
        ("d", "d/sub/x", InvalidRequest),
        ("", "x", InvalidRequest),
        ("f", "", InvalidRequest),
        ("f", "d", AlreadyExists),
        ("d", "f", AlreadyExists),
        ("nothing", "x", NotFound),
        ("d", "x", Unsupported),
        ("d/sub", "x" * 255 + "/" + "/".join(["y" * 253, "y" * 253, "y" * 252]), InvalidRequest),
    ):
        with pytest.raises(expected):
            await rename(backend, source, target, overwrite=True)
    assert await s3.keys() == sorted([*TREE, "tenant/f"])


async def test_copy_replaces_its_target_and_insists_on_the_version(backend: S3Backend, s3: S3) -> None:
    info = await put(backend, "f", b"one")
    await put(backend, "g", b"other")
    await backend.copy(place("f"), place("g"), ALICE, version=info.version)
    assert await s3.body("tenant/g") == b"one"
    await s3.put("tenant/f", b"two")
    with pytest.raises(Changed):
        await backend.copy(place("f"), place("g"), ALICE, version=info.version)
    assert await s3.body("tenant/g") == b"one"


async def test_a_directory_stays_when_its_last_file_goes_if_that_is_wanted(
    open_backend: Opener, s3: S3
) -> None:
    backend = await open_backend(keep_empty_directories=True)
    await put(backend, "d/f", b"x")
    await backend.delete(place("d/f"), ALICE)
    assert await s3.keys() == ["tenant/d/"]
    await put(backend, "e/f", b"x")
    await rename(backend, "e/f", "d/f")
    assert await s3.keys() == ["tenant/d/", "tenant/d/f", "tenant/e/"]
    await backend.delete(place("d/f"), ALICE)
    assert (await backend.file_info(place("d"), ALICE)).is_dir


async def test_rmdir_never_touches_what_is_beside_it(backend: S3Backend, s3: S3) -> None:
    await fill(s3, "tenant/foo/", "tenant/foobar/x", "tenant/foo.csv")
    await backend.del_dir(place("foo"), ALICE)
    assert await s3.keys() == ["tenant/foo.csv", "tenant/foobar/x"]


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_a_directory_that_was_never_made_can_be_removed_file_by_file(
    backend: S3Backend, s3: S3
) -> None:
    await fill(s3, "tenant/d/sub/f", "tenant/e")
    await backend.delete(place("d/sub/f"), ALICE)
    for path in ("d/sub", "d"):
        await backend.del_dir(place(path), ALICE)
        with pytest.raises(NotFound):
            await backend.del_dir(place(path), ALICE)
    assert await names(backend, "") == [b"e"]
    assert await s3.keys() == ["tenant/e"]


async def test_a_file_that_took_the_name_of_an_emptied_directory_is_not_removed_as_one(
    backend: S3Backend, s3: S3
) -> None:
    await fill(s3, "tenant/d/f")
    await backend.delete(place("d/f"), ALICE)
    await fill(s3, "tenant/d")
    with pytest.raises(NotADirectory):
        await backend.del_dir(place("d"), ALICE)


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_a_directory_that_moved_is_listed_no_more_and_may_be_made_again(
    backend: S3Backend, s3: S3
) -> None:
    await fill(s3, "tenant/d/sub/f", "tenant/d/made/")
    await rename(backend, "d", "e")
    assert await names(backend, "") == [b"e"]
    await backend.make_dir(place("d"), ALICE)
    assert sorted(await names(backend, "")) == [b"d", b"e"]


async def test_a_directory_whose_last_file_went_may_be_made_again(backend: S3Backend) -> None:
    await put(backend, "d/f", b"x")
    await backend.delete(place("d/f"), ALICE)
    await backend.make_dir(place("d"), ALICE)
    with pytest.raises(AlreadyExists):
        await backend.make_dir(place("d"), ALICE)
