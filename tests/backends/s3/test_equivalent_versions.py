"""A late time changes the ETag of a file that was uploaded in parts, and nothing for those who have it open.

On moto, which gives a copy of such an object another ETag, as AWS does.
"""

from __future__ import annotations

from typing import Any

import pytest

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.metadata.equivalent_versions import former_versions, with_former
from s3sftp.errors import Changed
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.test_budget import costing
from tests.backends.s3.upload_driver import data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Foreign
from tests.support.s3_client import S3

pytestmark = pytest.mark.parametrize("store", ["moto"], indirect=True)
DATA = data_of(2 * PART + 1)


@pytest.fixture
async def open_backend(open_backend: Opener, proxy: FaultProxy) -> Opener:
    """The server takes it for a store that copies one version alone, as AWS does."""
    proxy.anonymous = True

    async def opener(**changes: Any) -> S3Backend:
        backend = await open_backend(**changes)
        backend.client.features.is_recognised = True
        return backend

    return opener


async def read(backend: S3Backend, start: int, info: FileInfo) -> bytes:
    pieces = backend.read_file_range(place("f"), start, info.size, info.version, ALICE)
    return b"".join([bytes(piece) async for piece in pieces])


@pytest.mark.parametrize("whose", ["own", "another replica's"])
async def test_a_late_time_does_not_end_a_download(open_backend: Opener, whose: str) -> None:
    reader = await open_backend()
    toucher = reader if whose == "own" else await open_backend()
    info = await put(reader, "f", DATA)
    for mtime in (1000, 2000):
        assert await toucher.set_mtime(place("f"), mtime, ALICE)
        assert (await toucher.file_info(place("f"), ALICE)).version != info.version
        assert await read(reader, PART, info) == DATA[PART:]
    await reader.require_version(place("f"), info, ALICE)


async def test_content_that_was_replaced_is_never_taken_for_the_same(open_backend: Opener, s3: S3) -> None:
    backend, other = await open_backend(), await open_backend()
    info = await put(backend, "f", DATA)
    await other.set_mtime(place("f"), 1000, ALICE)
    await put(other, "f", data_of(2 * PART + 1, 1))
    await other.set_mtime(place("f"), 1000, ALICE)
    with pytest.raises(Changed):
        await read(backend, PART, info)
    with pytest.raises(Changed):
        await backend.require_version(place("f"), info, ALICE)


async def test_it_costs_a_head_once_and_nothing_where_the_process_knows(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend, other = await open_backend(), await open_backend()
    info = await put(backend, "f", DATA)
    await other.set_mtime(place("f"), 1000, ALICE)
    proxy.log.clear()
    await read(backend, PART, info)
    assert dict(proxy.log.by_api()) == {"GetObject": 2, "HeadObject": 1}
    with costing(proxy, GetObject=1):
        await read(backend, PART, info)


async def test_an_object_whose_etag_stays_gets_no_metadata_for_it(backend: S3Backend, s3: S3) -> None:
    await put(backend, "f", b"small")
    await backend.set_mtime(place("f"), 1000, ALICE)
    assert former_versions(await s3.head("tenant/f")) == ()


async def test_a_store_that_gives_every_copy_a_new_etag_is_found_out_by_the_first(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend = await open_backend(cache_ttl=0)
    for name in ("a", "b"):
        await put(backend, name, b"small")
    copied = b'<CopyObjectResult><ETag>"0123456789abcdef0123456789abcdef"</ETag></CopyObjectResult>'
    proxy.on("CopyObject", do=Foreign(copied, passed_on=True), key="/a$")
    await backend.set_mtime(place("a"), 1000, ALICE)
    await backend.set_mtime(place("b"), 1000, ALICE)
    heads = [await backend.client.call("HeadObject", Key=f"tenant/{name}") for name in ("a", "b")]
    assert [len(former_versions(head)) for head in heads] == [0, 1]


def test_former_versions_are_bounded_and_kept_in_order(store: object) -> None:
    head: dict[str, object] = {"ETag": '"0-2"', "Metadata": {}}
    for number in range(1, 20):
        metadata = with_former({}, head)
        head = {"ETag": f'"{number}-2"', "Metadata": metadata}
    assert former_versions(head) == tuple(f'"{number}-2"' for number in range(11, 19))
