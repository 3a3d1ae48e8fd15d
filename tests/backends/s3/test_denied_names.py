"""Roles that may list a prefix alone: S3 says 403 of what is not there, and LIST tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3sftp.backends.s3 import S3Backend, check
from s3sftp.backends.s3.request_outcomes import RequestOutcomes
from s3sftp.backends.s3.worker_tables import WorkerTables
from s3sftp.errors import AlreadyExists, NotFound, PermissionDenied
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, Opener, options_for, place
from tests.backends.s3.test_listing import fill
from tests.backends.s3.upload_driver import get, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Rewrite
from tests.support.logs import capture_events
from tests.support.s3_client import S3

READS = ("HeadObject", "GetObject")
DENIED = Answer(403, "AccessDenied")
NOTHING_THERE_IS_DENIED = Rewrite(
    lambda reply: (
        replace(reply, status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
        if reply.status == 404
        else reply
    )
)


@pytest.fixture
def limited(proxy: FaultProxy) -> FaultProxy:
    """A policy with `"s3:prefix": "tenant/*"` as the condition of s3:ListBucket."""
    proxy.on(*READS, do=NOTHING_THERE_IS_DENIED)
    proxy.on("ListObjectsV2", query="^prefix=(?!tenant/)", do=DENIED)
    return proxy


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_everything_works_for_who_may_list_the_prefix_alone(
    open_backend: Opener, s3: S3, direct: bool
) -> None:
    backend = await open_backend(direct_requests=direct)
    await fill(s3, "tenant/d/1", "tenant/a")
    for absent in ("nothing", "d/nothing"):
        with pytest.raises(NotFound):
            await backend.file_info(place(absent), ALICE)
        with pytest.raises(NotFound):
            await backend.open_file(place(absent), 100, ALICE)
        with pytest.raises(NotFound):
            await names(backend, absent)
        with pytest.raises(NotFound):
            await get(backend, absent, 0, 5, None)
    assert (await backend.file_info(place("d"), ALICE)).is_dir
    await backend.make_dir(place("new"), ALICE)
    await put(backend, "new/f", b"x", exclusive=True)
    with pytest.raises(AlreadyExists):
        await put(backend, "new/f", b"y", exclusive=True)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=True)
    await backend.rename(place("a"), place("b"), ALICE, overwrite=False)
    await backend.delete(place("b"), ALICE)
    await backend.delete(place("new/f"), ALICE)
    await backend.del_dir(place("new"), ALICE)
    assert await s3.keys() == ["tenant/e/1"]


@pytest.mark.usefixtures("limited")
async def test_check_finds_nothing_wrong_with_such_a_role(proxied: Store, bucket: str) -> None:
    findings = await check(options_for(proxied, bucket, journal="bucket"))
    assert [each for each in findings if each.state == "failed"] == []
    assert [each.state for each in findings if each.what in ("delete", "journal")] == ["ok", "ok"]


async def test_what_is_there_and_may_not_be_read_is_permission_denied(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3, "tenant/secret", "tenant/secret-2")
    proxy.on(*READS, do=DENIED)
    for _ in range(2):
        with pytest.raises(PermissionDenied):
            await backend.file_info(place("secret"), ALICE)
        with pytest.raises(PermissionDenied):
            await backend.open_file(place("secret"), 100, ALICE)
    with pytest.raises(NotFound):
        await backend.file_info(place("secre"), ALICE)


async def test_what_nobody_may_list_stays_denied_and_the_log_says_once_what_is_missing(
    backend: S3Backend, proxy: FaultProxy
) -> None:
    proxy.on(*READS, "ListObjectsV2", do=DENIED)
    with capture_events() as log:
        for name in ("a", "b"):
            with pytest.raises(PermissionDenied):
                await backend.file_info(place(name), ALICE)
    [told] = [each for each in log if each["event"] == "s3.existence_unknown"]
    assert "s3:ListBucket" in told["advice"]


async def test_a_policy_that_allows_the_prefix_of_a_directory_alone_tells_of_what_is_in_it(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3, "tenant/there")
    proxy.on(*READS, do=NOTHING_THERE_IS_DENIED)
    proxy.on("ListObjectsV2", query="^prefix=.*[^/]$", do=DENIED)
    with pytest.raises(NotFound):
        await backend.file_info(place("nothing"), ALICE)
    assert backend.client.features.missing == ()


async def test_another_request_is_sent_only_where_one_was_refused(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3, "tenant/f")
    await backend.file_info(place("f"), ALICE)
    with pytest.raises(NotFound):
        await backend.file_info(place("nothing"), ALICE)
    assert proxy.log.by_api() == {"HeadObject": 2, "ListObjectsV2": 1}


async def test_a_refusal_that_only_says_that_nothing_is_there_is_not_told_to_operators(
    limited: FaultProxy, proxied: Store, bucket: str
) -> None:
    shared = WorkerTables.of()
    contact = RequestOutcomes(shared.contact)
    backend = S3Backend(options_for(proxied, bucket), shared=shared)
    await backend.start()
    try:
        with pytest.raises(NotFound):
            await backend.file_info(place("nothing"), ALICE)
        assert contact.denials() == []
        limited.clear()
        limited.on("HeadObject", "ListObjectsV2", do=DENIED)
        with pytest.raises(PermissionDenied):
            await backend.file_info(place("else"), ALICE)
        assert contact.denials() == ["ListObjectsV2", "HeadObject"]
    finally:
        await backend.stop()
