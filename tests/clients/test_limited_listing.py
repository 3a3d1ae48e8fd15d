"""Clients of a server whose role may list its prefix alone: S3 refuses to say that a name is not there."""

from __future__ import annotations

import pytest

from tests.backends.s3.test_denied_names import DENIED, NOTHING_THERE_IS_DENIED, READS
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import installed
from tests.support.fault_proxy import FaultProxy

SIZES = {"a": 0, "sub/b c": 100_000, "sub/deep/ü": 6_000_000}


@pytest.fixture
def limited(troubled: ClientWorkspace, proxy: FaultProxy) -> ClientWorkspace:
    proxy.on(*READS, do=NOTHING_THERE_IS_DENIED)
    proxy.on("ListObjectsV2", query=f"^prefix=(?!{troubled.server.prefix})", do=DENIED)
    for number, (name, size) in enumerate(SIZES.items()):
        troubled.file(f"tree/{name}", size, number)
    return troubled


async def test_rclone_uploads_moves_and_removes(limited: ClientWorkspace, proxy: FaultProxy) -> None:
    here, there = f"{limited.local}/tree", f"alice:{limited.remote}/tree"
    for words in (
        ("copy", here, there),
        ("check", "--download", here, there),
        ("moveto", f"{there}/a", f"{there}/moved"),
        ("deletefile", f"{there}/moved"),
    ):
        (await limited.clients.rclone(*words, program=installed("rclone"))).ok()
    assert await limited.body("tree/sub/deep/ü") == content(6_000_000, 2)
    assert [seen for seen in proxy.log.of("ListObjectsV2") if seen.status == 403] == []


async def test_an_upload_under_another_name_that_is_then_renamed(limited: ClientWorkspace) -> None:
    """As WinSCP does: it looks for both names first, and removes the target."""
    at, local = limited.remote, limited.local
    (
        await limited.clients.sftp(
            f"mkdir {at}/new",
            f"-ls {at}/new/f.filepart",
            f'put "{local}/tree/sub/b c" {at}/new/f.filepart',
            f"-rm {at}/new/f",
            f"rename {at}/new/f.filepart {at}/new/f",
            f"rename {at}/new {at}/newer",
            f"get {at}/newer/f {local}/back",
        )
    ).ok()
    assert (limited.local / "back").read_bytes() == content(100_000, 1)


async def test_psftp_and_lftp_upload(limited: ClientWorkspace) -> None:
    at, local = limited.remote, limited.local
    (await limited.clients.psftp(f"mkdir {at}/p", f"put {local}/tree/a {at}/p/a", f"ls {at}/p")).ok()
    (await limited.clients.lftp(f"mirror -R {local}/tree {at}/mirrored")).ok()
    assert await limited.body("mirrored/sub/b c") == content(100_000, 1)
