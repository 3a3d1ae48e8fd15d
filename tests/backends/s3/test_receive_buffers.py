"""Where bytes of a body are received, and how the head before it is read."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.http.http1 import HEAD_LIMIT, ResponseHead, ResponseHeadReader
from s3sftp.backends.s3.http.receive_buffers import BUFFER_BYTES, ReceiveBufferPool, ReceivedBytes

REQUEST = h11.Request(method="GET", target="/", headers=[("Host", "s3.test")])


@given(
    counts=st.lists(st.integers(1, BUFFER_BYTES), max_size=40),
    kept=st.integers(0, 6),
    takes=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_what_was_taken_is_never_written_again(counts: list[int], kept: int, takes: list[bool]) -> None:
    arrivals = ReceivedBytes(ReceiveBufferPool())
    held: list[tuple[memoryview, bytes]] = []
    came = bytearray()
    taken = bytearray()
    for number, (count, take) in enumerate(zip(counts, takes, strict=False)):
        room = arrivals.room(BUFFER_BYTES)
        assert arrivals.room(BUFFER_BYTES).obj is room.obj
        count = min(count, len(room))
        fill = bytes([number]) * count
        room[:count] = fill
        arrivals.came(count)
        came += fill
        assert arrivals.waiting == len(came) - len(taken)
        if take:
            piece = arrivals.take()
            assert piece is not None
            taken += piece
            held.append((piece, bytes(piece)))
            del held[: max(0, len(held) - kept)]
        assert all(view == then for view, then in held)
    while (piece := arrivals.take()) is not None:
        taken += piece
    assert taken == came
    assert arrivals.waiting == 0


def test_a_buffer_is_used_again_when_nobody_looks_at_it_any_more() -> None:
    buffers = ReceiveBufferPool()
    first, second = buffers.lend(1 << 20), buffers.lend(1 << 20)
    place, part = first.obj, second[5:9]
    assert second.obj is not place
    del first, second
    third, fourth = buffers.lend(1 << 20), buffers.lend(1 << 20)
    assert third.obj is place
    assert fourth.obj is not part.obj
    assert len(third) == BUFFER_BYTES


def test_a_short_body_takes_no_large_buffer() -> None:
    assert len(ReceiveBufferPool().lend(1000)) == 1000


ANSWER = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: x\r\n\r\nhello"
)


def feed(reader: ResponseHeadReader, data: bytes) -> ResponseHead | None:
    head = None
    while data and head is None:
        room = reader.room()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        head, data = reader.came(count), data[count:]
    return head


@pytest.mark.parametrize("first", range(1, len(ANSWER)))
def test_a_head_may_be_cut_anywhere(first: int) -> None:
    for second in range(first, len(ANSWER)):
        reader = ResponseHeadReader(REQUEST)
        pieces = [ANSWER[:first], ANSWER[first:second], ANSWER[second:]]
        head = next(head for piece in pieces if (head := feed(reader, piece)) is not None)
        assert head == ResponseHead(206, {"content-length": "5", "etag": "x"}, 5, keeps=True)
        assert b"hello".startswith(bytes(reader.rest()))


def test_a_long_head_is_read_up_to_the_limit() -> None:
    start, end = b"HTTP/1.1 200 OK\r\na: ", b"\r\n\r\n"
    fits = start + b"x" * (HEAD_LIMIT - len(start)) + end
    head = feed(ResponseHeadReader(REQUEST), fits + b"body")
    assert head is not None
    assert head.length is None
    with pytest.raises(h11.RemoteProtocolError, match="too long"):
        feed(ResponseHeadReader(REQUEST), fits.replace(b"a: ", b"a: y"))
    with pytest.raises(h11.RemoteProtocolError, match="too long"):
        feed(ResponseHeadReader(REQUEST), start + b"x" * 2 * HEAD_LIMIT)


def test_answers_without_a_body_have_none() -> None:
    for status in (204, 304):
        head = feed(ResponseHeadReader(REQUEST), b"HTTP/1.1 %d No\r\nContent-Length: 5\r\n\r\n" % status)
        assert head is not None
        assert head.length == 0
