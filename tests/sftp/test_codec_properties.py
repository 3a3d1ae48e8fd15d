"""The codec against everything that bytes can be."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from s3sftp.sftp.attributes import read_attributes
from s3sftp.sftp.codec import BadMessage, BadPacket, FieldReader, PacketReader
from testbed import packets

MOST = 1000

bodies = st.binary(min_size=1, max_size=60)


@given(st.lists(bodies, max_size=12), st.lists(st.integers(0, 700)))
def test_packets_come_out_as_they_went_in_however_the_stream_is_cut(
    sent: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(packets.string(body) for body in sent)
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    inbox, received = PacketReader(MOST), []
    for start, stop in itertools.pairwise(borders):
        inbox.feed(stream[start:stop])
        while (packet := inbox.next()) is not None:
            received.append(packet)
    assert received == sent
    assert len(inbox) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_of_allowed_length_or_a_bad_packet(stream: bytes) -> None:
    inbox = PacketReader(MOST)
    inbox.feed(stream)
    with contextlib.suppress(BadPacket):
        while (packet := inbox.next()) is not None:
            assert 1 <= len(packet) <= MOST
        assert len(inbox) < 4 + MOST


@given(st.binary(max_size=80), st.lists(st.sampled_from(["u32", "u64", "string"]), max_size=8))
def test_fields_never_reach_behind_their_packet(data: bytes, kinds: list[str]) -> None:
    fields = FieldReader(b"\0" + data)
    read = 0
    with contextlib.suppress(BadMessage):
        for kind in kinds:
            value = getattr(fields, kind)()
            read += {"u32": 4, "u64": 8}.get(kind, 4 + len(value) if isinstance(value, bytes) else 0)
            assert read + fields.left == len(data)


@given(st.binary(max_size=120))
def test_attributes_are_read_or_refused(data: bytes) -> None:
    fields = FieldReader(b"\0" + data)
    with contextlib.suppress(BadMessage):
        new = read_attributes(fields)
        assert new.size is None or 0 <= new.size < 1 << 64
        assert fields.left >= 0


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), st.binary(max_size=300))
def test_what_the_tests_send_is_what_the_server_reads(small: int, large: int, text: bytes) -> None:
    fields = FieldReader(b"\0" + packets.u32(small) + packets.u64(large) + packets.string(text))
    assert (fields.u32(), fields.u64(), fields.string(), fields.left) == (small, large, text, 0)
