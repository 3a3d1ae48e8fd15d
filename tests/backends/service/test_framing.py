"""One end of a connection: who sends much waits until the other end has taken it."""

from __future__ import annotations

import asyncio
import mmap
import socket
import tempfile

import pytest

from s3sftp.backends.service.framing import FrameStream, FrameTooLong

MIB = 1 << 20


async def pair() -> tuple[FrameStream, asyncio.StreamWriter, FrameStream]:
    """An end, its writer, and the other end; as after the hellos."""
    one, other = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=one)
    streams = FrameStream(reader, writer), FrameStream(*await asyncio.open_unix_connection(sock=other))
    for stream in streams:
        stream.max_received_bytes = stream.max_sent_bytes = 16 * MIB
    return streams[0], writer, streams[1]


async def test_what_the_other_end_does_not_take_waits_outside_of_the_connection_s_memory() -> None:
    stream, writer, other = await pair()
    sending = [asyncio.create_task(stream.send({"id": number, "data": bytes(MIB)})) for number in range(20)]
    await asyncio.sleep(0.1)
    assert writer.transport.get_write_buffer_size() < 2 * MIB
    for number in range(20):
        came = await other.receive()
        assert came is not None
        assert came["id"] == number
    await asyncio.gather(*sending)
    stream.close()
    other.close()


async def test_contents_that_are_too_long_are_not_brought_into_memory() -> None:
    stream, _, other = await pair()
    size = 1 << 33  # more than msgpack has words for
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as spooled, memoryview(spooled) as data:
            with pytest.raises(FrameTooLong, match=f"{size} bytes"):
                await stream.send({"op": "write_file", "data": data})
    await stream.send({"id": 1})
    assert await other.receive() == {"id": 1}
    stream.close()
    other.close()


async def test_one_that_is_given_up_while_it_waits_is_not_sent() -> None:
    stream, _, other = await pair()
    sending = [asyncio.create_task(stream.send({"id": number, "data": bytes(MIB)})) for number in range(4)]
    await asyncio.sleep(0.1)
    sending[2].cancel()
    assert [(await other.receive() or {})["id"] for _ in range(3)] == [0, 1, 3]
    await asyncio.gather(*sending, return_exceptions=True)
    stream.close()
    other.close()


async def test_what_waits_when_the_other_end_goes_fails() -> None:
    stream, _, other = await pair()
    sending = [asyncio.create_task(stream.send({"id": number, "data": bytes(MIB)})) for number in range(4)]
    await asyncio.sleep(0.1)
    other.close()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        assert any(isinstance(outcome, OSError) for outcome in outcomes)
        with pytest.raises(ConnectionError):
            await stream.send({})
        assert await stream.receive() is None
    stream.close()
