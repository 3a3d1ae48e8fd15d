"""Permissions that are kept, with the clients that give them."""

from __future__ import annotations

import asyncio

import paramiko
import pytest

from tests.clients.conftest import QUICK
from tests.support.client_workspace import ClientWorkspace
from tests.support.commands import Running, installed
from tests.support.fault_proxy import FaultProxy

BIG = 12_345_678
KEEPING = pytest.mark.parametrize("mortal", [{"s3": QUICK["s3"] | {"permissions": "keep"}}], indirect=True)


def modes_in(listing: str) -> dict[str, str]:
    """The first column of `ls -l` by name."""
    lines = [line.split() for line in listing.splitlines() if line.startswith("-")]
    return {line[-1].rpartition("/")[2]: line[0] for line in lines}


@KEEPING
async def test_openssh_gives_them_at_open_and_with_p_and_by_chmod(
    mortal: ClientWorkspace, proxy: FaultProxy
) -> None:
    for name, size, mode in (("small", 100, 0o640), ("large", BIG, 0o755), ("late", 100, 0o600)):
        mortal.file(name, size).chmod(mode)
    puts = [f"put {mortal.local}/{name} {mortal.remote}/{name}" for name in ("small", "large")]
    (await mortal.clients.sftp(*puts)).ok()
    assert proxy.log.count("CopyObject") == 0
    (await mortal.clients.sftp(f"put -p {mortal.local}/late {mortal.remote}/late")).ok()
    assert proxy.log.count("CopyObject") == 0
    (await mortal.clients.sftp(f"chmod 444 {mortal.remote}/late")).ok()
    assert proxy.log.count("CopyObject") == 1
    said = (await mortal.clients.sftp(f"ls -l {mortal.remote}")).ok().text
    assert modes_in(said) == {"small": "-rw-r-----", "large": "-rwxr-xr-x", "late": "-r--r--r--"}
    (await mortal.clients.sftp(f"get -p {mortal.remote}/large {mortal.local}/back")).ok()
    assert (mortal.local / "back").stat().st_mode & 0o777 == 0o755


@KEEPING
async def test_rclone_that_reads_the_bucket_finds_them_and_ours_are_those_it_writes(
    mortal: ClientWorkspace,
) -> None:
    store = mortal.server.store
    remote = f":s3,provider=Other,env_auth=true,endpoint='{store.endpoint_url}':{mortal.s3.bucket}/"
    away, back = remote + mortal.key_prefix + "ours", mortal.local / "back"
    mortal.file("ours", 100).chmod(0o640)
    mortal.file("theirs", 100).chmod(0o604)
    (await mortal.clients.sftp(f"put {mortal.local}/ours {mortal.remote}/ours")).ok()
    copies = ((away, str(back)), (f"{mortal.local}/theirs", f"{remote}{mortal.key_prefix}theirs"))
    for source, target in copies:
        command = (installed("rclone"), "copyto", "--metadata", source, target)
        async with await Running.start(command, store.environment()) as running:
            (await running.result(60)).ok()
    assert back.stat().st_mode & 0o777 == 0o640
    (await mortal.clients.sftp(f"get -p {mortal.remote}/theirs {mortal.local}/again")).ok()
    assert (mortal.local / "again").stat().st_mode & 0o777 == 0o604


@KEEPING
async def test_paramiko_sees_what_it_set_also_while_it_writes(mortal: ClientWorkspace) -> None:
    def work(sftp: paramiko.SFTPClient) -> list[int]:
        with sftp.open(f"{mortal.remote}/x", "w") as file:
            file.write(b"x")
            file.chmod(0o600)
            seen = [file.stat().st_mode]
        seen.append(sftp.stat(f"{mortal.remote}/x").st_mode)
        sftp.chmod(f"{mortal.remote}/x", 0o751)
        seen.append(sftp.stat(f"{mortal.remote}/x").st_mode)
        seen.append(sftp.listdir_attr(mortal.remote)[0].st_mode)
        return [(mode or 0) for mode in seen]

    def in_thread() -> list[int]:
        with mortal.clients.paramiko() as sftp:
            return work(sftp)

    assert await asyncio.to_thread(in_thread) == [0o100600, 0o100600, 0o100751, 0o100751]
    assert (await mortal.s3.head(mortal.key_prefix + "x"))["Metadata"]["mode"] == "0100751"
