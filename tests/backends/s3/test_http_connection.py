"""Where the bytes of an answer are received, and how its head is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.http.connection import (
    HEAD_LIMIT,
    LIMITS,
    ClosedWhenReused,
    GuardedConnection,
    Memory,
    Unanswered,
)
from s3sftp.backends.s3.http.receive_buffers import BUFFER_BYTES, ReceiveBuffers


@contextmanager
def asked(*, bodiless: bool = False) -> Iterator[GuardedConnection]:
    """A connection that waits for an answer."""
    loop = asyncio.new_event_loop()
    connection = GuardedConnection(Memory(), loop)
    transport = Mock(asyncio.Transport)
    transport.is_closing.return_value = False
    transport.get_extra_info.return_value = None
    connection.connection_made(transport)
    connection.set_response_params(skip_payload=bodiless, read_until_eof=True, read_timeout=60, **LIMITS)
    try:
        yield connection
    finally:
        connection.abort()
        loop.close()


def receive(connection: GuardedConnection, data: bytes) -> None:
    """As the event loop does."""
    while data and connection.transport is not None:
        room = connection.get_buffer(-1)
        count = min(len(room), len(data))
        room[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]


def answers(connection: GuardedConnection) -> list[tuple[int, Any]]:
    """Status and body of those that came."""
    return [(message.code, payload) for (message, payload), _ in connection._buffer]


def taken(payload: Any) -> list[memoryview]:
    pieces = []
    while payload._buffer:
        pieces.append(memoryview(payload._read_nowait_chunk(-1)))
    return pieces


@given(
    counts=st.lists(st.integers(1, BUFFER_BYTES), max_size=40),
    kept=st.integers(0, 6),
    takes=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_what_was_taken_is_never_written_again(counts: list[int], kept: int, takes: list[bool]) -> None:
    held: list[tuple[memoryview, bytes]] = []
    came, got = bytearray(), bytearray()
    with asked() as connection:
        receive(connection, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (sum(counts) + 1))
        [(_, payload)] = answers(connection)
        for number, (count, take) in enumerate(zip(counts, takes, strict=False)):
            fill = bytes([number]) * count
            receive(connection, fill)
            came += fill
            if take:
                for piece in taken(payload):
                    got += piece
                    held.append((piece, bytes(piece)))
                del held[: max(0, len(held) - kept)]
            assert all(view == then for view, then in held)
        got += b"".join(taken(payload))
        assert got == came
        assert not payload.is_eof()


def test_a_buffer_is_used_again_when_nobody_looks_at_it_any_more() -> None:
    buffers = ReceiveBuffers()
    first, second = buffers.lend(1 << 20), buffers.lend(1 << 20)
    place, part = first.obj, second[5:9]
    assert second.obj is not place
    del first, second
    third, fourth = buffers.lend(1 << 20), buffers.lend(1 << 20)
    assert third.obj is place
    assert fourth.obj is not part.obj
    assert len(third) == BUFFER_BYTES


def test_a_short_body_takes_no_large_buffer() -> None:
    assert len(ReceiveBuffers().lend(1000)) == 1000


ANSWER = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: x\r\n\r\nhello"
)


@pytest.mark.parametrize("first", range(1, len(ANSWER)))
def test_a_head_may_be_cut_anywhere(first: int) -> None:
    for second in range(first, len(ANSWER), 3):
        with asked() as connection:
            for piece in (ANSWER[:first], ANSWER[first:second], ANSWER[second:]):
                receive(connection, piece)
            (interim, _), (status, payload) = answers(connection)
            assert (interim, status) == (100, 206)
            assert b"".join(taken(payload)) == b"hello"
            assert payload.is_eof()
            connection._buffer.clear()
            assert connection.is_connected()
            assert not connection.should_close


def test_a_long_head_is_read_up_to_the_limit() -> None:
    start, end = b"HTTP/1.1 200 OK\r\na: ", b"\r\n\r\n"
    fits = start + b"x" * (HEAD_LIMIT - len(start)) + end
    with asked() as connection:
        receive(connection, fits + b"body")
        [(status, payload)] = answers(connection)
        assert (status, b"".join(taken(payload)), payload.is_eof()) == (200, b"body", False)
    for long in (fits.replace(b"a: ", b"a: y"), start + b"x" * 2 * HEAD_LIMIT):
        with asked() as connection:
            receive(connection, long)
            assert isinstance(connection.exception(), Unanswered)
            assert "too long" in str(connection.exception())
            assert not connection.is_connected()


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_have_none(status: int) -> None:
    with asked() as connection:
        receive(connection, b"HTTP/1.1 %d No\r\nContent-Length: 5\r\n\r\n" % status)
        assert answers(connection) == [(status, aiohttp.EMPTY_PAYLOAD)]
        connection._buffer.clear()
        assert not connection.should_close


def test_the_length_that_an_answer_to_head_tells_is_not_that_of_a_body() -> None:
    with asked(bodiless=True) as connection:
        receive(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert answers(connection) == [(200, aiohttp.EMPTY_PAYLOAD)]
        connection._buffer.clear()
        assert not connection.should_close


CODED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
SURPLUS = [b"x", b"HTTP", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("answer", [ANSWER, CODED], ids=["known length", "chunked"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_follows_an_answer_ends_the_connection(answer: bytes, surplus: bytes, at_once: bool) -> None:
    with asked() as connection:
        for piece in (answer + surplus,) if at_once else (answer, surplus):
            receive(connection, piece)
        came = answers(connection)
        assert len(came) == (2 if answer == ANSWER else 1)
        assert b"".join(taken(came[-1][1])) == b"hello"
        connection._buffer.clear()  # as who asked has done by now
        assert connection.transport is None or connection.should_close


def test_an_answer_that_switches_to_another_protocol_is_refused() -> None:
    with asked() as connection:
        receive(connection, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        assert answers(connection) == []
        assert isinstance(connection.exception(), Unanswered)


@pytest.mark.parametrize(
    ("requests", "came", "repeated"),
    [(1, b"", False), (2, b"", True), (2, b"HTTP", False), (2, ANSWER[:25], False)],
)
def test_only_a_connection_that_was_closed_while_it_was_idle_leaves_a_request_to_be_repeated(
    requests: int, came: bytes, repeated: bool
) -> None:
    with asked() as connection:
        if requests == 2:
            receive(connection, b"HTTP/1.1 204 No Content\r\n\r\n")
            connection._buffer.clear()
            connection.set_response_params(read_timeout=60, **LIMITS)
        receive(connection, came)
        connection.connection_lost(None)
        assert isinstance(connection.exception(), Unanswered)
        assert isinstance(connection.exception(), ClosedWhenReused) is repeated
