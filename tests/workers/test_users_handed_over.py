"""How the users of now reach workers that run, and those that are started later."""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.app.handover import (
    AccountUpdates,
    dump,
    load,
    memory_file,
    read_account_changes,
    write_account_changes,
)
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Accounts, UserOptions, account_from_line, account_to_line, read_logins
from s3sftp.auth.access_options import AccessOptions, MountOptions
from s3sftp.auth.authorized_keys import parse_line
from s3sftp.backends.s3 import S3Options
from s3sftp.fs import OnConflict
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.workers import WorkerGate, messages
from s3sftp.workers.ipc import IpcConnection, ipc_socket_pair
from testbed.s3_store import Store
from tests.cli.mounted_secret import Mounted
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Groups
from tests.workers.worker_server import worker_server

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
HASH = "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA"
AUTHORITY = replace(parse_line(KEY), is_authority=True)


def accounts(users: Mapping[str, UserOptions]) -> Accounts:
    return read_logins(users, authorities=(AUTHORITY,)).accounts


RULES = {
    "rights": st.sampled_from([None, (), ("drop-box", "mkdir"), ("read-write",)]),
    "hide": st.sampled_from([None, (), (".*", "é\u2029*")]),
    "max_file_bytes": st.sampled_from([None, 0, 1 << 40]),
    "on_conflict": st.sampled_from([None, *OnConflict]),
}
PATHS = st.sampled_from(["/", "/in", "/é/x"])
OPTIONS = st.builds(
    UserOptions,
    password_hash=st.sampled_from([None, HASH]),
    authorized_keys=st.lists(
        st.sampled_from(
            [
                KEY,
                f'from="10.0.0.0/8,!10.0.0.9",expiry-time="20301231" {KEY}',
                f'from="::1" {KEY}',
                f'cert-authority,principals="é,ops" {KEY}',
                "rubbish",
            ]
        )
    ).map(tuple),
    principals=st.sampled_from([None, (), ("é", "ops@example.com")]),
    prefix=st.sampled_from(["", "{user}/", "é/x/"]),
    read_only=st.booleans(),
    directories=st.lists(st.sampled_from(["in", "out\u2029"]), unique=True).map(tuple),
    attributes=st.dictionaries(st.text(), st.text(), max_size=2),
    mounts=st.dictionaries(
        PATHS, st.builds(MountOptions, prefix=st.just("{user}/é/"), file=st.booleans(), **RULES), max_size=2
    ),
    paths=st.dictionaries(PATHS, st.builds(AccessOptions, **RULES), max_size=2),
    **RULES,
)
USERS = st.dictionaries(st.sampled_from(["alice", "bob", "carol", "d@example.com"]), OPTIONS).map(accounts)


@settings(max_examples=30, deadline=None)
@given(USERS)
def test_an_account_arrives_as_it_was_sent(users: Accounts) -> None:
    for name, account in users.items():
        line = account_to_line(name, account)
        assert account_from_line(line) == (name, account)
        assert line.count(b"\n") == 1


@settings(max_examples=30, deadline=None)
@given(USERS, USERS)
def test_what_has_changed_makes_the_users_of_now_of_the_first(first: Accounts, now: Accounts) -> None:
    assert read_account_changes(write_account_changes(first, now), first) == now


def test_what_is_restricted_stays_so() -> None:
    line = f'from="10.0.0.0/8",expiry-time="20301231" {KEY}'
    key, authority = account_from_line(
        account_to_line("a", accounts({"a": UserOptions(authorized_keys=(line,))})["a"])
    )[1].keys
    assert not key.sources[0].allow("192.0.2.1")
    assert key.sources[0].allow("10.1.1.1")
    assert key.expires == datetime(2030, 12, 31, tzinfo=UTC)
    assert authority.is_authority  # so it opens nothing by itself


def test_an_account_that_cannot_be_read_is_an_error_that_quotes_nothing_of_it() -> None:
    line = account_to_line("alice", some("alice")["alice"]).rstrip()
    for stop in range(len(line)):
        with pytest.raises(ValueError, match="JSON") as refused:
            account_from_line(line[:stop])
        assert "argon2" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(ValueError, match="string") as refused:
        account_from_line(line.replace(f'"{HASH}"'.encode(), f'["{HASH}"]'.encode()))
    assert "argon2" not in "".join(traceback.format_exception(refused.value))


def test_options_that_cannot_be_read_are_an_error_that_quotes_no_secret() -> None:
    options = ServerOptions(s3=S3Options(bucket="bucket", access_key_id="A", secret_access_key="S3CRET"))
    data = dump(options)
    assert load(data) == options
    broken = [data[:-20], data.replace(b'"S3CRET"', b'["S3CRET"]'), data.replace(b'"s3":', b'"s4":')]
    for each in broken:
        with pytest.raises(ValueError, match=r"JSON|delimiter|string|permitted") as refused:
            load(each)
        assert "S3CRET" not in "".join(traceback.format_exception(refused.value))


async def test_an_update_that_cannot_be_read_is_logged_without_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def take(_users: Accounts) -> None: ...

    failed = asyncio.Event()
    updates = AccountUpdates({}, take, failed.set)
    line = account_to_line("alice", some("alice")["alice"])
    updates.enqueue(memory_file("s3sftp-users", [b"[]\n", line[: line.index(b"$v=19")]]))
    async with asyncio.timeout(20):
        await failed.wait()
    await updates.stop()
    assert "users.takeover_failed" in caplog.text
    assert "argon2" not in caplog.text


def some(*names: str) -> Accounts:
    return accounts({name: UserOptions(password_hash=HASH) for name in names})


async def test_of_several_updates_that_wait_the_latest_is_taken_and_all_are_closed() -> None:
    first, taken, go_on = some("alice"), [], asyncio.Event()

    async def take(users: Accounts) -> None:
        taken.append(set(users))
        await go_on.wait()

    updates = AccountUpdates(first, take, lambda: None)
    settled: list[int] = []
    updates.when_settled(lambda: settled.append(len(taken)))
    assert settled == [0]
    files = [write_account_changes(first, some(name)) for name in ("bob", "carol", "dave")]
    updates.enqueue(files[0])
    updates.when_settled(lambda: settled.append(len(taken)))
    async with asyncio.timeout(20):
        while not taken:
            await asyncio.sleep(0.01)
    for file in files[1:]:
        updates.enqueue(file)
    go_on.set()
    async with asyncio.timeout(20):
        while len(settled) < 2:
            await asyncio.sleep(0.01)
    assert taken == [{"bob"}, {"dave"}]
    assert settled == [0, 2]
    for file in files:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)
    await updates.stop()


async def test_an_update_that_cannot_be_taken_is_asked_for_again() -> None:
    async def take(_users: Accounts) -> None:
        raise MemoryError

    failed = asyncio.Event()
    updates = AccountUpdates({}, take, failed.set)
    updates.enqueue(write_account_changes({}, some("alice")))
    async with asyncio.timeout(20):
        await failed.wait()
    await updates.stop()


async def test_a_worker_that_gets_no_file_with_the_users_asks_for_it_again() -> None:
    mine, its = ipc_socket_pair()
    heard: list[messages.IpcMessage] = []
    supervisor = IpcConnection(mine, lambda message, _: heard.append(message), lambda: None)
    gate = WorkerGate(its, ShutdownRequests())
    taken: list[int] = []
    gate.apply_users = taken.append
    supervisor.send(messages.UsersChanged())
    async with asyncio.timeout(20):
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == [messages.UsersLost()]
    supervisor.send(messages.UsersChanged(), os.fdopen(write_account_changes({}, some("alice")), "rb"))
    async with asyncio.timeout(20):
        while not taken:
            await asyncio.sleep(0.01)
    assert set(read_account_changes(taken[0], {})) == {"alice"}
    supervisor.close()
    gate.close()


async def test_a_connection_that_comes_after_a_change_of_users_is_served_when_the_change_is_applied() -> None:
    mine, its = ipc_socket_pair()
    heard: list[messages.IpcMessage] = []
    supervisor = IpcConnection(mine, lambda message, _: heard.append(message), lambda: None)
    gate = WorkerGate(its, ShutdownRequests())
    reading, go_on = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def take(accounts: Accounts) -> None:
        reading.set()
        await go_on.wait()
        seen.extend(accounts)

    def announced(_host: str, _port: int) -> asyncio.Protocol:
        seen.append("connection")
        return asyncio.Protocol()

    updates = AccountUpdates({}, take, lambda: None)
    gate.apply_users, gate.when_users_are_applied = updates.enqueue, updates.when_settled
    await gate.create_server(announced, "", 0)
    supervisor.send(messages.UsersChanged(), os.fdopen(write_account_changes({}, some("alice")), "rb"))
    client, server = socket.socketpair()
    with client:
        supervisor.send(messages.ServeConnection(1, "192.0.2.1", 1, "", False), server)
        supervisor.send(messages.Ping())
        async with asyncio.timeout(20):
            await reading.wait()
            while messages.Pong() not in heard:  # what was sent before has been handled
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            go_on.set()
            while "connection" not in seen:
                await asyncio.sleep(0.01)
    assert seen == ["alice", "connection"]
    await updates.stop()
    supervisor.close()
    gate.close()


async def test_an_upload_of_a_user_who_is_removed_leaves_nothing_in_the_bucket(
    seaweed: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    mounted = Mounted(tmp_path / "users")
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = key.export_public_key().decode().strip()
    mounted.write({"bob.toml": f"[users.bob]\nauthorized_keys = ['{public}']\n"})
    options: Groups = {
        "auth": {"users_dir": str(mounted.directory)},
        "server": {"reload_interval": "200 ms"},
    }
    async with worker_server(tmp_path, seaweed, bucket, options) as serving:
        async with (
            serving.client(username="bob", client_keys=[key]) as bob,
            serving.client(username="bob", client_keys=[key]) as other,
            serving.client() as alice,
        ):
            large = await (await bob.sftp()).open("large", "wb")
            small = await (await other.sftp()).open("small", "wb")
            theirs = await (await alice.sftp()).open("theirs", "wb")
            for file in (small, theirs):
                await file.write(b"x" * 100)
            for _ in range(3):
                await large.write(b"x" * PART_BYTES)
            async with asyncio.timeout(30):
                while not await s3.multipart_uploads():
                    await asyncio.sleep(0.05)
            mounted.write({})
            async with asyncio.timeout(30):
                await bob.connection.wait_closed()
                await other.connection.wait_closed()
            await theirs.close()
            async with asyncio.timeout(30):
                while await s3.multipart_uploads():
                    await asyncio.sleep(0.05)
        assert await s3.keys() == ["alice/theirs"]
        assert {each["user"] for each in serving.server.events("connection.ending")} == {"bob"}
