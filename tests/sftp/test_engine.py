"""The engine over a real SSH connection: concurrency, order, bounds, and how a session ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import NoReturn

import pytest

from s3sftp.backends import FileInfo, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageFailure
from s3sftp.sftp import SftpOptions, request_spans
from testbed.packets import (
    CLOSE,
    CREAT,
    DATA,
    EXTENDED,
    EXTENDED_REPLY,
    FSETSTAT,
    LSTAT,
    MKDIR,
    NO_ATTRIBUTES,
    OPEN,
    OPENDIR,
    READ,
    REMOVE,
    RENAME,
    RMDIR,
    STAT,
    TRUNC,
    WRITE,
    R,
    W,
    read_string,
    string,
    u32,
    u64,
)
from tests.sftp.session_server import serving

pytestmark = pytest.mark.usefixtures("log_level")

MIB = 1 << 20
OK, NO_SUCH_FILE, FAILURE, UNSUPPORTED = 0, 2, 4, 8


async def test_only_extensions_that_work_are_announced() -> None:
    async with serving(MemoryBackend()) as server, server.client(init=False) as client:
        assert await client.init() == {
            b"posix-rename@openssh.com": b"1",
            b"statvfs@openssh.com": b"2",
            b"fstatvfs@openssh.com": b"2",
            b"fsync@openssh.com": b"1",
            b"lsetstat@openssh.com": b"1",
            b"limits@openssh.com": b"1",
            b"expand-path@openssh.com": b"1",
            b"copy-data": b"1",
            b"check-file": b"1",
            b"check-file-name": b"1",
            b"check-file-handle": b"1",
            b"home-directory": b"1",
        }


class Meeting(MemoryBackend):
    """Answers about files when so many have been asked for at once, and not before."""

    def __init__(self, objects: Mapping[str, bytes], together: int) -> None:
        super().__init__(objects)
        self._together = asyncio.Barrier(together)

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        async with asyncio.timeout(20):
            await self._together.wait()
        return await super().file_info(place, session)


async def test_requests_that_touch_different_files_run_at_once() -> None:
    backend = Meeting({f"f{i}": b"x" for i in range(64)}, together=64)
    async with serving(backend) as server, server.client() as client:
        found = await asyncio.gather(*(client.stat(b"/f%d" % i) for i in range(64)))
        assert [each.size for each in found] == [1] * 64


async def test_close_rename_and_setstat_sent_without_waiting_happen_in_that_order() -> None:
    backend = MemoryBackend(latency=0.02)
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/x.part", W | CREAT | TRUNC)
        replies = [
            client.sending_write(handle, 0, b"hello"),
            client.request(CLOSE, string(handle)),
            client.request(RENAME, string(b"/x.part") + string(b"/x")),
            client.request(9, string(b"/x") + u32(8) + u32(1000) + u32(1000)),
            client.request(STAT, string(b"/x")),
            client.request(STAT, string(b"/x.part")),
        ]
        codes = [(await reply).code for reply in replies]
        assert codes == [OK, OK, OK, OK, OK, NO_SUCH_FILE]
        assert bytes(backend.objects[b"x"].data) == b"hello"
        assert backend.objects[b"x"].mtime == 1000


async def test_a_read_is_never_short_before_the_end() -> None:
    data = bytes(range(256)) * 20_000
    async with serving(MemoryBackend({"f": data}, latency=0.001)) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        reads = [client.read(handle, at, 261_120) for at in range(0, len(data), 261_120)]
        pieces = await asyncio.gather(*reads)
        assert b"".join(pieces) == data
        assert {len(piece) for piece in pieces[:-1]} == {261_120}
        await client.close(handle)


async def test_a_read_of_four_gigabytes_is_clamped_to_what_was_announced() -> None:
    async with serving(MemoryBackend({"f": bytes(MIB)})) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        assert len(await client.read(handle, 0, 0xFFFFFFFF)) == 255 * 1024
        await client.close(handle)


@pytest.mark.slow
async def test_a_client_that_takes_nothing_holds_no_more_than_the_send_buffer() -> None:
    options = SftpOptions(send_buffer_bytes=2 * MIB)
    async with serving(MemoryBackend({"f": bytes(64 * MIB)}), sftp=options) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", R)
            client.process.channel.pause_reading()
            for index in range(4000):
                client.request(READ, string(handle) + u64(index % 64 * MIB) + u32(255 * 1024))
            session = server.sessions[-1]
            await asyncio.sleep(1)
            assert session._send_queue.unsent_bytes <= 2 * MIB + 255 * 1024 + 1024
            client.process.channel.abort()


async def test_a_write_with_bytes_after_its_data_is_accepted() -> None:
    backend = MemoryBackend()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        reply = await client.request(WRITE, string(handle) + u64(0) + string(b"data") + b"more")
        assert reply.code == OK
        await client.close(handle)
        assert bytes(backend.objects[b"f"].data) == b"data"


async def test_a_missing_directory_fails_at_opendir() -> None:
    async with serving(MemoryBackend()) as server, server.client() as client:
        assert (await client.request(OPENDIR, string(b"/none"))).code == NO_SUCH_FILE


@pytest.mark.parametrize("name", [b"/f", b"/f/", b"/f/below", b"/f/deep/below"])
async def test_what_is_no_directory_is_no_such_file_as_with_openssh(name: bytes) -> None:
    """ENOTDIR has no status of its own; OpenSSH's server says NO_SUCH_FILE, and clients count on that."""
    backend = MemoryBackend({"f": b"stays"})
    async with serving(backend) as server, server.client() as client:
        for kind in (OPENDIR, RMDIR):
            assert (await client.request(kind, string(name))).code == NO_SUCH_FILE
        if name != b"/f":
            for kind in (STAT, LSTAT, REMOVE):
                assert (await client.request(kind, string(name))).code == NO_SUCH_FILE
            assert (await client.request(OPEN, string(name) + u32(R) + NO_ATTRIBUTES)).code == NO_SUCH_FILE
        if name not in (b"/f", b"/f/"):
            attempt = string(name) + u32(W | CREAT | TRUNC) + NO_ATTRIBUTES
            assert (await client.request(OPEN, attempt)).code == NO_SUCH_FILE
            assert (await client.request(MKDIR, string(name) + NO_ATTRIBUTES)).code == NO_SUCH_FILE
    assert backend.contents() == {"f": b"stays"}


async def test_the_space_of_what_is_not_there_is_no_such_file() -> None:
    async with serving(MemoryBackend({"f": b""})) as server, server.client() as client:
        for name, code in ((b"/f", None), (b"/", None), (b"/none", NO_SUCH_FILE), (b"/f/", NO_SUCH_FILE)):
            reply = await client.request(EXTENDED, string(b"statvfs@openssh.com") + string(name))
            assert (None if reply.kind == EXTENDED_REPLY else reply.code) == code


async def test_a_file_being_uploaded_shows_its_size_so_far_to_its_user_alone() -> None:
    async with serving(MemoryBackend()) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        await client.write(handle, 0, bytes(1000))
        assert (await client.stat(b"/f")).size == 1000
        async with server.client("alice") as same, server.client("bob") as other:
            assert (await same.stat(b"/f")).size == 1000
            assert (await other.request(STAT, string(b"/f"))).code == NO_SUCH_FILE
        await client.close(handle)


async def test_after_a_failed_close_the_file_is_not_shown() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "finish_write":
            raise StorageFailure("no")

    backend = MemoryBackend(fail=fail)
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        await client.write(handle, 0, b"data")
        assert (await client.request(CLOSE, string(handle))).code == FAILURE
        assert (await client.request(STAT, string(b"/f"))).code == NO_SUCH_FILE


@pytest.mark.parametrize("how", ["eof", "channel closed", "connection lost"])
async def test_a_session_that_ends_publishes_nothing_and_leaves_nothing(how: str) -> None:
    backend = MemoryBackend({"f": b"old"}, chunk_bytes=64 * 1024, parallel_chunks=4)
    async with serving(backend) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", W | CREAT | TRUNC)
            for index in range(10):
                await client.write(handle, index * 32_768, bytes(32_768))
            if how == "eof":
                client.process.stdin.write_eof()
            elif how == "channel closed":
                client.process.channel.close()
            else:
                client.connection.abort()
            await client.ended()
        await server.until_nothing_is_open()
        async with asyncio.timeout(30):
            while backend.open_uploads:
                await asyncio.sleep(0.01)
    assert bytes(backend.objects[b"f"].data) == b"old"


async def test_one_upload_that_fails_to_abort_does_not_stop_the_others() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "abort_write" and place.name == b"f1":
            raise RuntimeError("broken")

    backend = MemoryBackend(chunk_bytes=1024, fail=fail)
    async with serving(backend) as server:
        async with server.client() as client:
            for index in range(3):
                handle = await client.open(b"/f%d" % index, W | CREAT | TRUNC)
                await client.write(handle, 0, bytes(4096))
        await server.until_nothing_is_open()
    assert {upload.place.name for upload in backend.uploads} <= {b"f1"}
    assert not backend.objects


async def test_a_clean_end_has_exit_status_0() -> None:
    async with serving(MemoryBackend()) as server, server.client() as client:
        client.process.stdin.write_eof()
        assert await client.ended() == 0


async def test_an_unknown_error_reaches_the_client_as_a_reference_alone() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "file_info":
            raise RuntimeError("secret bucket name")

    async with serving(MemoryBackend(fail=fail)) as server, server.client() as client:
        reply = await client.request(STAT, string(b"/f"))
        text = read_string(reply.body, 4)[0]
        assert reply.code == FAILURE
        assert text.startswith(b"Failure: internal error, reference ")
        assert b"secret" not in text
        server.internal_errors.clear()


async def test_an_unforeseen_error_that_fails_a_whole_upload_is_told_whole_once_and_has_one_reference() -> (
    None
):
    def fail(method: str, place: Place) -> None:
        if method == "write_chunk":
            raise RuntimeError("secret bucket name")

    async with serving(MemoryBackend(chunk_bytes=7, fail=fail)) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        writes = [client.sending_write(handle, at, bytes(7)) for at in range(0, 70, 7)]
        replies = [await each for each in writes] + [await client.sending_close(handle)]
        failed = {read_string(reply.body, 4)[0] for reply in replies if reply.code == FAILURE}
        assert len(failed) == 1
        told = ["exception" in error for error in server.internal_errors]
        assert (told[0], any(told[1:]), len(told) > 1) == (True, False, True)
        server.internal_errors.clear()


async def test_a_failure_around_a_request_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a span or a log line, say: a client never waits for an answer that does not come."""

    def broken(*_: object) -> NoReturn:
        raise RuntimeError("secret exporter address")

    monkeypatch.setattr(request_spans, "span", broken)
    async with serving(MemoryBackend({"f": b""})) as server, server.client() as client:
        reply = await client.request(STAT, string(b"/f"))
        assert reply.code == FAILURE
        assert read_string(reply.body, 4)[0].startswith(b"Failure: internal error, reference ")
        server.internal_errors.clear()


async def test_links_are_refused_as_unsupported() -> None:
    async with serving(MemoryBackend({"f": b""})) as server, server.client() as client:
        assert (await client.request(20, string(b"/f") + string(b"/l"))).code == UNSUPPORTED
        assert (await client.request(19, string(b"/f"))).code == UNSUPPORTED


async def test_too_many_handles_are_refused_with_a_reason() -> None:
    options = SftpOptions(max_handles=5)
    async with serving(MemoryBackend({"f": b""}), sftp=options) as server, server.client() as client:
        replies = [await client.request(OPEN, string(b"/f") + u32(R) + u32(0)) for _ in range(7)]
        assert [reply.code for reply in replies[5:]] == [FAILURE, FAILURE]
        assert b"too many open files" in replies[6].body
        assert (await client.stat(b"/f")).size == 0


async def test_copy_data_of_a_whole_file_is_made_by_the_storage() -> None:
    calls: list[str] = []
    backend = MemoryBackend({"f": bytes(3 * MIB)}, fail=lambda method, place: calls.append(method))
    async with serving(backend) as server, server.client() as client:
        source = await client.open(b"/f", R)
        target = await client.open(b"/g", W | CREAT | TRUNC)
        body = string(b"copy-data") + string(source) + u64(0) + u64(0) + string(target) + u64(0)
        assert (await client.request(EXTENDED, body)).code == OK
        await client.close(source)
        await client.close(target)
    assert calls.count("copy") == 1
    assert "read_file_range" not in calls
    assert len(backend.objects[b"g"].data) == 3 * MIB


async def test_copy_data_of_a_part_copies_that_part() -> None:
    backend = MemoryBackend({"f": b"0123456789"})
    async with serving(backend) as server, server.client() as client:
        source = await client.open(b"/f", R)
        target = await client.open(b"/g", W | CREAT | TRUNC)
        body = string(b"copy-data") + string(source) + u64(2) + u64(5) + string(target) + u64(0)
        assert (await client.request(EXTENDED, body)).code == OK
        await client.close(target)
        await client.close(source)
    assert bytes(backend.objects[b"g"].data) == b"23456"


async def test_home_is_the_root_and_nobody_else_s_is_known() -> None:
    async with serving(MemoryBackend()) as server, server.client("alice") as client:
        for name in (b"expand-path@openssh.com", b"home-directory"):
            me = b"~alice/x" if name.startswith(b"expand") else b"alice"
            other = b"~bob" if name.startswith(b"expand") else b"bob"
            reply = await client.request(EXTENDED, string(name) + string(me))
            assert read_string(reply.body, 4)[0] in (b"/", b"/x")
            assert (await client.request(EXTENDED, string(name) + string(other))).code == NO_SUCH_FILE


async def test_permissions_and_owner_are_accepted_ignored_and_counted() -> None:
    async with serving(MemoryBackend({"f": b"x"})) as server, server.client() as client:
        body = string(b"/f") + u32(0x06) + u32(1) + u32(2) + u32(0o600)
        assert (await client.request(9, body)).code == OK
        assert server.volume.ignored == {"permissions": 1, "owner": 1}


async def test_times_are_accepted_ignored_and_counted_where_none_are_kept() -> None:
    backend = MemoryBackend({"f": b"x"})
    backend.keeps_times = False
    at_noon = u32(0x08) + u32(1000) + u32(1000)
    async with serving(backend) as server, server.client() as client:
        before = (await client.stat(b"/f")).mtime
        assert (await client.request(9, string(b"/f") + at_noon)).code == OK  # SETSTAT
        opened = await client.request(3, string(b"/g") + u32(W | CREAT | TRUNC) + at_noon)
        handle = bytes(opened.body[4:])
        assert (await client.request(10, string(handle) + at_noon)).code == OK  # FSETSTAT
        await client.close(handle)
        assert (await client.stat(b"/f")).mtime == before
        assert (await client.stat(b"/g")).mtime != 1000
        assert server.volume.ignored == {"mtime": 3}


async def test_fsync_tells_of_a_chunk_that_failed() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "write_chunk":
            raise StorageFailure("no")

    async with serving(MemoryBackend(chunk_bytes=1024, fail=fail)) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        client.sending_write(handle, 0, bytes(2048))
        reply = await client.request(EXTENDED, string(b"fsync@openssh.com") + string(handle))
        assert reply.code == FAILURE
        assert (await client.request(CLOSE, string(handle))).code == FAILURE


async def test_an_idle_session_is_ended_and_one_with_a_running_request_is_not() -> None:
    options = SftpOptions(idle_timeout=timedelta(seconds=0.3))
    async with serving(MemoryBackend({"f": b"x"}, latency=1.0), sftp=options) as server:
        async with server.client() as client:
            assert (await client.stat(b"/f")).size == 1
            await asyncio.wait_for(client.ended(), 30)


async def test_truncating_by_handle_and_by_path() -> None:
    backend = MemoryBackend({"f": b"0123456789"})
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W)
        assert (await client.request(FSETSTAT, string(handle) + u32(1) + u64(4))).code == OK
        await client.close(handle)
        assert bytes(backend.objects[b"f"].data) == b"0123"
        await client.set_size(b"/f", 6)
        assert bytes(backend.objects[b"f"].data) == b"0123\0\0"


class Slow(MemoryBackend):
    """Reads of one file wait until they are let go; those of others do not."""

    def __init__(self, seed: dict[str, bytes]) -> None:
        super().__init__(seed)
        self.let_go = asyncio.Event()

    async def read_file_range(self, place, start, stop, version, session):  # type: ignore[no-untyped-def]
        if place.name == b"slow":
            await self.let_go.wait()
        async for piece in super().read_file_range(place, start, stop, version, session):
            yield piece


@pytest.mark.slow
async def test_thousands_of_reads_of_a_stalled_file_leave_room_for_other_requests() -> None:
    backend = Slow({"slow": bytes(64 * MIB), "other": b"here"})
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/slow", R)
        reads = [client.request(READ, string(handle) + u64(i * 32768) + u32(32768)) for i in range(2000)]
        async with asyncio.timeout(10):
            assert await client.get(b"/other") == b"here"
            assert (await client.stat(b"/other")).size == 4
        backend.let_go.set()
        assert {(await read).kind for read in reads} == {DATA}
        await client.close(handle)


async def test_reads_of_one_file_are_answered_in_the_order_in_which_they_came() -> None:
    data = bytes(range(256)) * 8192
    async with serving(MemoryBackend({"f": data}, latency=0.002)) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        order: list[int] = []
        offsets = [(i * 7919 * 64) % len(data) for i in range(100)]
        for number, offset in enumerate(offsets):
            reply = client.request(READ, string(handle) + u64(offset) + u32(64))
            reply.add_done_callback(lambda _, number=number: order.append(number))
        await client.read(handle, 0, 1)
        assert order == sorted(order)
        assert len(order) == 100
        await client.close(handle)
