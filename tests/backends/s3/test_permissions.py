"""Permissions as metadata: with the upload where they are known, in one copy where they come late."""

from __future__ import annotations

import asyncio
import stat
from typing import Any

import pytest

from s3sftp.backends.contract import FileInfo, Finish
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.metadata.objects import mode_of, mode_text
from s3sftp.errors import NotFound
from s3sftp.fs import FileOptions, FileSystem, Mounts, NewAttributes, OpenStorage, VirtualPath, WriteMode
from s3sftp.fs.open_writer import OpenWriter
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, PART, Opener, options_for, place
from tests.backends.s3.upload_driver import begin, data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3

F = VirtualPath.parse(b"/f")
BOTH = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)


@pytest.fixture
async def keeping(open_backend: Opener) -> S3Backend:
    return await open_backend(permissions="keep")


async def listed(backend: S3Backend, path: str) -> dict[bytes, FileInfo]:
    pages = backend.list_dir(place(path), ALICE)
    return {entry.name: entry.info async for page in pages for entry in page}


async def mode(backend: S3Backend, path: str) -> int | None:
    return (await backend.file_info(place(path), ALICE)).mode


@BOTH
async def test_the_mode_that_is_known_at_open_goes_with_the_upload(
    keeping: S3Backend, open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    await put(keeping, "d/small", b"x", mode=0o640)
    await put(keeping, "d/large", data_of(PART + 1), mode=0o755)
    await put(keeping, "d/plain", b"x")
    assert proxy.log.count("CopyObject") == 0
    assert (await s3.head("tenant/d/small"))["Metadata"]["mode"] == "0100640"
    assert "mode" not in (await s3.head("tenant/d/plain"))["Metadata"]
    for backend in (keeping, await open_backend(permissions="keep")):
        modes = [await mode(backend, f"d/{name}") for name in ("small", "large", "plain")]
        assert modes == [0o640, 0o755, None]
        shown = await listed(backend, "d")
        assert [shown[name].mode for name in (b"small", b"large", b"plain")] == [0o640, 0o755, None]


async def test_the_mode_that_comes_before_the_end_goes_with_a_small_file(
    keeping: S3Backend, proxy: FaultProxy
) -> None:
    upload = await begin(keeping, "f", mode=0o644)
    info = await keeping.finish_write(upload, b"x", Finish(1, 1000, mode=0o600), ALICE)
    assert (info.mode, info.mtime) == (0o600, 1000)
    assert proxy.log.count("CopyObject") == 0


@BOTH
async def test_a_late_mode_and_a_late_time_are_one_copy(
    keeping: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    upload = await begin(keeping, "f")
    data = data_of(PART + 1)
    await keeping.write_chunk(upload, data[:PART], ALICE)
    info = await keeping.finish_write(upload, data[PART:], Finish(PART + 1, 1000, mode=0o600), ALICE)
    assert (info.mode, info.mtime) == (0o600, 1000)
    assert proxy.log.count("CopyObject") == 1
    assert await keeping.set_attributes(place("f"), 2000, 0o640, ALICE)
    assert proxy.log.count("CopyObject") == 2
    assert await keeping.set_attributes(place("f"), 2000, 0o640, ALICE)  # it is so already
    assert proxy.log.count("CopyObject") == 2
    head = await s3.head("tenant/f")
    assert (head["Metadata"]["mode"], head["Metadata"]["mtime"]) == ("0100640", "2000")


@BOTH
async def test_another_mode_leaves_time_content_and_all_else(open_backend: Opener, s3: S3) -> None:
    await s3.put("tenant/f", b"x", ContentType="text/csv", Metadata={"owner": "p"})
    before = (await s3.head("tenant/f"))["LastModified"].timestamp()
    await asyncio.sleep(1.1)  # so long that the copy is of another second
    keeping = await open_backend(permissions="keep")
    assert await keeping.set_attributes(place("f"), None, 0o4711, ALICE)
    head = await s3.head("tenant/f")
    assert (head["ContentType"], head["Metadata"]["owner"]) == ("text/csv", "p")
    for backend in (keeping, await open_backend(permissions="keep")):
        info = await backend.file_info(place("f"), ALICE)
        assert (info.mode, info.mtime) == (0o4711, before)


@BOTH
async def test_the_mode_survives_a_late_time_a_rename_and_a_copy(
    keeping: S3Backend, open_backend: Opener
) -> None:
    fresh = await open_backend(permissions="keep", cache_ttl=0)
    for backend in (keeping, fresh):
        await put(backend, "d/f", b"x", mode=0o600)
        assert await backend.set_mtime(place("d/f"), 1000, ALICE)
        await backend.rename(place("d/f"), place("d/g"), ALICE, overwrite=True)
        copied = await backend.copy(place("d/g"), place("copy"), ALICE, version=None)
        await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
        assert copied.mode == 0o600
        for path in ("copy", "e/g"):
            assert await mode(backend, path) == await mode(fresh, path) == 0o600
        await backend.delete(place("e/g"), ALICE)


async def test_a_file_that_is_written_anew_has_the_mode_of_its_upload(keeping: S3Backend) -> None:
    await put(keeping, "f", b"x", mode=0o600)
    await put(keeping, "f", b"y")
    assert await mode(keeping, "f") is None


async def opened(files: FileSystem, mode: WriteMode, permissions: int) -> OpenWriter:
    return await files.open_writer(F, mode, new=NewAttributes(permissions=permissions))


async def test_permissions_at_open_are_for_what_is_uploaded_and_no_change_by_themselves(
    keeping: S3Backend, proxy: FaultProxy
) -> None:
    files = FileSystem(OpenStorage(keeping, FileOptions()), Mounts.of(""), ALICE)
    writer = await opened(files, WriteMode(truncate=True), 0o600)
    await writer.write(0, b"x")
    await writer.close()
    proxy.log.clear()
    for how in (WriteMode(), WriteMode(create=False), WriteMode(append=True)):
        writer = await opened(files, how, 0o777)
        assert writer.is_untouched
        assert [info and info.mode for info in (await files.stat(F), await writer.stat())] == [0o600, 0o600]
        await writer.close()
        assert (await files.stat(F)).mode == 0o600
    writer = await opened(files, WriteMode(), 0o777)
    await files.remove(F)
    await writer.close()
    with pytest.raises(NotFound):
        await files.stat(F)
    assert proxy.log.count("CopyObject") == proxy.log.count("PutObject") == 0


async def test_what_is_set_after_open_is_a_change_and_leaves_out_what_open_said(keeping: S3Backend) -> None:
    files = FileSystem(OpenStorage(keeping, FileOptions()), Mounts.of(""), ALICE)
    await put(keeping, "f", b"x", mode=0o600)
    writer = await opened(files, WriteMode(), 0o777)
    await writer.set_attributes(None, 1000)
    await writer.close()
    info = await files.stat(F)
    assert (info.mtime, info.mode) == (1000, 0o600)
    writer = await opened(files, WriteMode(), 0o777)
    await writer.set_attributes(None, None, 0o640)
    await writer.close()
    assert (await files.stat(F)).mode == 0o640
    writer = await opened(files, WriteMode(truncate=True), 0o751)
    await writer.close()
    assert (await files.stat(F)).mode == 0o751


async def test_directories_keep_no_mode(keeping: S3Backend, proxy: FaultProxy) -> None:
    await keeping.make_dir(place("d"), ALICE)
    proxy.log.clear()
    assert not await keeping.set_attributes(place("d"), None, 0o700, ALICE)
    assert await mode(keeping, "d") is None
    assert proxy.log.by_api() == {"ListObjectsV2": 2}


@pytest.mark.parametrize("options", [{"late_mtime": "ignore"}, {"late_mtime_max_bytes": 0}])
async def test_a_late_mode_follows_the_policy_for_late_times(
    open_backend: Opener, proxy: FaultProxy, options: dict[str, Any]
) -> None:
    backend = await open_backend(permissions="keep", **options)
    await put(backend, "f", b"x", mode=0o600)
    assert not await backend.set_attributes(place("f"), 1000, 0o640, ALICE)
    assert (await mode(backend, "f"), proxy.log.count("CopyObject")) == (0o600, 0)


async def test_what_is_not_kept_is_not_shown_either(backend: S3Backend, s3: S3) -> None:
    assert not backend.keeps_modes
    await s3.put("tenant/f", b"x", Metadata={"mode": "0100600"})
    assert await mode(backend, "f") is None


def test_metadata_of_the_operator_cannot_be_in_the_way(store: Store, bucket: str) -> None:
    options_for(store, bucket, metadata={"mode": "mine"})
    with pytest.raises(ValueError, match="s3sftp writes it itself"):
        options_for(store, bucket, metadata={"mode": "mine"}, permissions="keep")


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("0100640", 0o640),  # ours, and Google's
        ("100640", 0o640),  # rclone's
        ("0640", 0o640),  # DataSync's
        ("640", 0o640),
        (str(stat.S_IFREG | 0o640), 0o640),  # s3fs's
        (str(stat.S_IFREG | 0o666), 0o666),  # the same, of digits that are all octal
        (str(stat.S_IFREG), 0),
        (str(stat.S_IFREG | 0o7777), 0o7777),
        ("0107777", 0o7777),
        ("0", 0),
        ("", None),
        ("rw-r--r--", None),
        ("0o640", None),
        ("-640", None),
        ("648", None),
        ("٦٤٠", None),
        ("1" * 400, None),
    ],
)
def test_the_forms_of_others_are_understood(text: str, bits: int | None) -> None:
    assert mode_of({"mode": text}) == bits


def test_what_is_written_is_read_by_who_reads_octal_and_by_who_looks_at_the_first_digit() -> None:
    for bits in range(0o10000):
        text = mode_text(bits)
        assert text.startswith("0")
        assert int(text, 8) == stat.S_IFREG | bits
        assert mode_of({"mode": text}) == mode_of({"mode": text[1:]}) == bits
        assert mode_of({"mode": str(stat.S_IFREG | bits)}) == bits
