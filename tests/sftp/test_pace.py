"""A user who is faster than allowed is slowed down: nothing is lost, refused or kept, and nobody else waits.

The times that these tests assert are lower bounds that follow from the rate, or deadlines of half a minute.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from s3sftp.backends.memory import MemoryBackend
from s3sftp.sftp import Rates, SftpOptions
from testbed.packets import CREAT, OK, READ, STAT, TRUNC, R, W, packet, string, u32, u64
from testbed.raw_client import Ended
from tests.sftp.session_server import serving

pytestmark = pytest.mark.slow

KIB = 1 << 10
SLOW = Rates(upload_bytes=64 * KIB, download_bytes=64 * KIB)
"""64 KiB at once after a pause, then 64 KiB in a second."""


def filled(size: int) -> bytes:
    return bytes(number * 31 % 251 for number in range(size))


async def test_an_upload_that_is_too_fast_arrives_whole_and_late() -> None:
    backend, data = MemoryBackend(), filled(256 * KIB)
    async with serving(backend, rates=SLOW) as server, server.client() as client:
        began = time.monotonic()
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        writes = [
            client.sending_write(handle, at, data[at : at + 32 * KIB]) for at in range(0, len(data), 32 * KIB)
        ]
        closed = client.sending_close(handle)
        assert {(await each).code for each in (*writes, closed)} == {OK}
        assert time.monotonic() - began >= (256 - 64) / 64 - 0.01
        assert bytes(backend.objects[b"f"].data) == data


async def test_reads_that_are_asked_for_at_once_are_answered_in_order_at_the_rate() -> None:
    data = filled(256 * KIB)
    async with serving(MemoryBackend({"f": data}), rates=SLOW) as server, server.client() as client:
        began = time.monotonic()
        handle = await client.open(b"/f", R)
        reads = [
            client.request(READ, string(handle) + u64(at) + u32(32 * KIB))
            for at in range(0, len(data) + 4096 * KIB, 32 * KIB)  # those beyond the end cost nothing
        ]
        pieces = [(await each).body[4:] for each in reads[:8]]
        assert b"".join(pieces) == data
        # the last one is answered before it is paid for
        assert time.monotonic() - began >= (256 - 32 - 64) / 64 - 0.01
        async with asyncio.timeout(30):
            assert {(await each).code for each in reads[8:]} == {1}


async def test_a_read_of_a_file_that_is_being_written_counts_as_well() -> None:
    rates = Rates(download_bytes=64 * KIB)
    async with serving(MemoryBackend(), rates=rates) as server, server.client() as client:
        handle = await client.open(b"/f", R | W | CREAT | TRUNC)
        await client.write(handle, 0, filled(32 * KIB))
        began = time.monotonic()
        for _ in range(6):
            assert len(await client.read(handle, 0, 32 * KIB)) == 32 * KIB
        assert time.monotonic() - began >= (5 * 32 - 64) / 64 - 0.01
        await client.close(handle)


async def test_all_sessions_of_a_user_share_the_rate_and_other_users_do_not_wait() -> None:
    backend, data = MemoryBackend(), filled(160 * KIB)

    async def put(user: str, name: bytes, repeat: int = 1) -> None:
        async with server.client(user) as client:
            for _ in range(repeat):
                handle = await client.open(name, W | CREAT | TRUNC)
                for at in range(0, len(data), 32 * KIB):
                    await client.write(handle, at, data[at : at + 32 * KIB])
                await client.close(handle)

    async with serving(backend, rates=SLOW) as server:
        began = time.monotonic()
        alices = [asyncio.create_task(put("alice", f"/a{number}".encode())) for number in range(3)]
        await put("bob", b"/b", repeat=10)
        assert not any(task.done() for task in alices)
        await asyncio.gather(*alices)
        assert time.monotonic() - began >= (3 * 160 - 64) / 64 - 0.01
        assert all(bytes(backend.objects[f"a{number}".encode()].data) == data for number in range(3))


async def test_requests_that_come_too_fast_are_all_answered_at_the_rate() -> None:
    rates = Rates(requests=20)
    async with serving(MemoryBackend({"f": b"x"}), rates=rates) as server, server.client() as client:
        began = time.monotonic()
        answers = [client.request(STAT, string(b"/f")) for _ in range(60)]
        for answer in answers:
            assert (await answer).kind == 105
        assert time.monotonic() - began >= (59 - 20) / 20 - 0.01


async def test_reads_and_writes_are_no_requests_of_that_kind() -> None:
    rates = Rates(requests=1)
    async with serving(MemoryBackend({"f": filled(400)}), rates=rates) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        began = time.monotonic()
        for at in range(400):
            assert len(await client.read(handle, at, 1)) == 1
        assert time.monotonic() - began < 100
        await client.close(handle)


async def test_a_session_that_waits_for_its_turn_is_not_idle() -> None:
    options = SftpOptions(idle_timeout=timedelta(seconds=0.2))
    backend, data = MemoryBackend(), filled(192 * KIB)
    async with serving(backend, sftp=options, rates=SLOW) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        await client.write(handle, 0, data)
        await client.close(handle)  # two seconds later
        assert bytes(backend.objects[b"f"].data) == data
        await asyncio.wait_for(client.ended(), 30)  # now it is


async def test_what_a_client_has_sent_before_its_end_of_input_is_served_at_the_rate() -> None:
    backend, data = MemoryBackend(), filled(160 * KIB)
    async with serving(backend, rates=SLOW) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        for at in range(0, len(data), 32 * KIB):
            client.sending_write(handle, at, data[at : at + 32 * KIB])
        closed = client.sending_close(handle)
        client.process.stdin.write_eof()
        assert (await closed).code == OK
        assert await client.ended() == 0
        assert bytes(backend.objects[b"f"].data) == data


async def test_small_requests_that_came_with_the_end_of_input_are_served_at_the_rate() -> None:
    rates = Rates(requests=2)
    async with serving(MemoryBackend({"f": b"x"}), rates=rates) as server, server.client() as client:
        client.send(b"".join(packet(STAT, string(b"/f"), number) for number in range(100, 106)))  # at once
        client.process.stdin.write_eof()
        assert await client.ended() == 0
        assert len(client.unasked) == 6


async def test_a_server_that_ends_a_session_does_not_make_what_has_arrived_wait() -> None:
    rates = Rates(upload_bytes=16 * KIB)
    backend, data = MemoryBackend(), filled(640 * KIB)  # 39 seconds
    async with serving(backend, rates=rates) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        for at in range(0, len(data), 32 * KIB):
            client.sending_write(handle, at, data[at : at + 32 * KIB])
        closed = client.sending_close(handle)
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await server.sessions[0].end("test")
        assert time.monotonic() - began < 30
        assert (await closed).code == OK
        assert bytes(backend.objects[b"f"].data) == data


async def test_a_client_that_leaves_while_it_has_to_wait_leaves_nothing() -> None:
    rates = Rates(upload_bytes=16 * KIB)
    backend = MemoryBackend()
    async with serving(backend, rates=rates) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        answers = [client.sending_write(handle, at, bytes(32 * KIB)) for at in range(0, 1 << 20, 32 * KIB)]
        await answers[0]
        client.connection.abort()
        await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(answers[-1].exception(), Ended)
        await server.lets_everything_go()
    assert not backend.objects


async def test_requests_that_wait_because_of_the_rate_take_no_memory_of_the_server() -> None:
    rates = Rates(upload_bytes=16 * KIB)
    async with serving(MemoryBackend(), rates=rates) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        for at in range(0, 64 << 20, 255 * KIB):
            client.sending_write(handle, at, bytes(255 * KIB))
        await asyncio.sleep(1)
        received = len(server.sessions[0]._reader)
        assert received < 3 << 20  # the channel's window
        client.connection.abort()
        await server.until_nothing_is_open()


async def test_a_rate_that_changes_holds_for_sessions_that_are_open() -> None:
    backend = MemoryBackend()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        server.paces.change("alice", Rates(upload_bytes=64 * KIB))
        began = time.monotonic()
        for at in range(0, 160 * KIB, 32 * KIB):
            await client.write(handle, at, bytes(32 * KIB))
        assert time.monotonic() - began >= (160 - 32 - 64) / 64 - 0.01
        server.paces.change("alice", Rates())
        for at in range(160 * KIB, 12 << 20, 128 * KIB):  # minutes at the rate before
            await asyncio.wait_for(client.write(handle, at, bytes(128 * KIB)), 30)
        await client.close(handle)
