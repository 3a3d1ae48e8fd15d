"""The pure parts of the protocol: packets, attributes, the status table."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp import errors
from s3sftp.backends import FileInfo
from s3sftp.fs import NewAttributes
from s3sftp.sftp.attributes import UNDATED, ClientAttributes, long_name, read_attributes
from s3sftp.sftp.codec import (
    BadMessage,
    BadPacket,
    FieldReader,
    PacketReader,
    PacketType,
    data_packet,
    packet,
    string,
    u32,
    u64,
    version_packet,
)
from s3sftp.sftp.status import STATUS_OF, WORDS, Status, error_packet, ok_packet, status_packet


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=10), st.integers(1, 17))
def test_packets_come_out_as_they_went_in_however_the_stream_is_cut(bodies: list[bytes], cut: int) -> None:
    stream = b"".join(u32(len(body)) + body for body in bodies)
    inbox, out = PacketReader(100), []
    for at in range(0, len(stream), cut):
        inbox.feed(stream[at : at + cut])
        while (body := inbox.next()) is not None:
            out.append(body)
    assert out == bodies
    assert len(inbox) == 0


@pytest.mark.parametrize("length", [0, 101, 0xFFFFFFFF])
def test_a_packet_of_an_impossible_length_ends_the_stream_before_it_is_collected(length: int) -> None:
    inbox = PacketReader(100)
    inbox.feed(u32(length))
    with pytest.raises(BadPacket):
        inbox.next()


@given(st.binary(max_size=60))
def test_fields_never_read_beyond_their_packet(body: bytes) -> None:
    fields = FieldReader(b"\x03" + body)
    try:
        fields.string()
        fields.u64()
        read_attributes(fields)
    except BadMessage:
        pass
    assert fields.left >= 0


def test_four_billion_extended_attributes_are_refused_at_once() -> None:
    with pytest.raises(BadMessage, match="do not fit"):
        read_attributes(FieldReader(b"\x09" + u32(0x80000000) + u32(0xFFFFFFFF) + bytes(100)))


def test_attributes_are_read_in_the_order_of_the_draft() -> None:
    body = struct.pack(">IQIIIII", 0x0F, 5, 1000, 1001, 0o100600, 11, 22)
    assert read_attributes(FieldReader(b"\x09" + body)) == NewAttributes(5, 22.0, 0o100600, (1000, 1001))


@given(st.floats(), st.integers(0, 2**63 - 1))
def test_every_size_and_time_can_be_shown(mtime: float, size: int) -> None:
    encoded = ClientAttributes(FileInfo.file(size, mtime)).encoded()
    flags, shown_size = struct.unpack_from(">IQ", encoded)
    assert (flags, shown_size, len(encoded)) == (0x0F, size, 32)
    assert long_name(b"f", ClientAttributes(FileInfo.file(size, mtime)), "alice", now=0.0).endswith(b" f")


@pytest.mark.parametrize("info", [FileInfo.directory(), FileInfo.file(0)])
def test_what_has_no_time_has_the_same_one_everywhere(info: FileInfo) -> None:
    at, modified = struct.unpack(">IQIIIII", ClientAttributes(info).encoded())[5:]
    assert at == modified == UNDATED
    assert b"Jan 01  2000" in long_name(b"d", ClientAttributes(info), "alice", now=1_700_086_400.0)


def test_the_long_name_is_the_line_of_ls() -> None:
    shown = ClientAttributes(FileInfo.file(1221, 1_700_000_000.0))
    line = long_name(b"report.csv", shown, "alice", now=1_700_086_400.0)
    assert line == b"-rw-r--r--    1 alice    s3               1221 Nov 14 22:13 report.csv"


def every_error(cls: type[errors.StorageError] = errors.StorageError) -> list[type[errors.StorageError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in every_error(sub))]


def test_every_error_has_a_status() -> None:
    ours = [cls for cls in every_error() if cls.__module__ == "s3sftp.errors"]
    assert set(STATUS_OF) == set(ours)


def test_an_answer_carries_the_error_s_text_and_never_its_detail() -> None:
    answer = error_packet(7, errors.NotFound("nothing there", detail="bucket=secret"))
    assert answer == packet(
        PacketType.STATUS, 7, u32(2), string(b"No such file: nothing there"), string(b"en")
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NotFound(), "No such file"),
        (errors.NotFound("no such user"), "No such file: no such user"),
        (errors.NotFound("No such file or directory"), "No such file or directory"),
        (errors.PermissionDenied(), "Permission denied"),
        (errors.PermissionDenied("permission denied by the vault"), "Permission denied by the vault"),
        (errors.Unsupported(), "Operation unsupported"),
        (errors.NotEmpty(), "Failure: directory not empty"),
        (errors.InvalidRequest("invalid handle"), "Failure: invalid handle"),
        (errors.StorageFailure("\ud800"), "Failure: ?"),
    ],
)
def test_the_text_of_an_error_begins_with_the_standard_words(error: errors.StorageError, text: str) -> None:
    assert string(text.encode()) + string(b"en") in error_packet(7, error)


def test_every_status_has_words_and_a_language() -> None:
    assert set(WORDS) == set(Status)
    for status, words in WORDS.items():
        assert status_packet(7, status) == packet(
            PacketType.STATUS, 7, u32(status), string(words.encode()), string(b"en")
        )
    assert ok_packet(7) == status_packet(7, Status.OK)


def test_a_packet_of_the_most_bytes_is_taken_and_counted() -> None:
    inbox = PacketReader(100)
    inbox.feed(u32(1) + b"a" + u32(100)[:3])
    assert (inbox.next(), inbox.next(), inbox.packets, len(inbox)) == (b"a", None, 1, 3)
    inbox.feed(u32(100)[3:])
    assert (inbox.next(), len(inbox)) == (None, 0)
    inbox.feed(bytes(99))
    assert (inbox.next(), len(inbox)) == (None, 99)
    inbox.feed(memoryview(b"z"))
    assert (inbox.next(), inbox.packets, len(inbox)) == (bytes(99) + b"z", 2, 0)


def test_large_pieces_of_the_stream_are_kept_as_they_are_and_small_ones_put_together() -> None:
    inbox = PacketReader(1 << 20)
    for size in (1, 4095, 4096, 4095, 0, 1):
        inbox.feed(bytes(size))
    assert [len(chunk) for chunk in inbox._chunks] == [4096, 4096, 4096]
    assert len(inbox) == 3 * 4096
    inbox = PacketReader(1 << 20)
    for piece in (u32(8192), b"a" * 4096, b"b" * 4096):
        inbox.feed(piece)
    assert inbox.next() == b"a" * 4096 + b"b" * 4096


@pytest.mark.parametrize("length", [0, 101])
def test_the_error_of_an_impossible_packet_says_what_is_allowed(length: int) -> None:
    inbox = PacketReader(100)
    inbox.feed(u32(length))
    with pytest.raises(BadPacket, match=rf"^packet of {length} bytes \(1 to 100 are allowed\)$"):
        inbox.next()


def test_fields_that_end_too_early_say_by_how_much() -> None:
    for read, early in ((FieldReader.u32, 1), (FieldReader.u64, 5), (FieldReader.string, 1)):
        with pytest.raises(BadMessage, match=f"^packet ends {early} bytes too early$"):
            read(FieldReader(b"\x03" + bytes(3)))
    fields = FieldReader(b"\x03" + u32(2) + b"abc")
    assert (bytes(fields.view()), fields.left) == (b"ab", 1)
    fields = FieldReader(b"\x03" + u32(0))
    assert (fields.string(), fields.left) == (b"", 0)


def test_a_data_packet_keeps_no_memory_that_is_much_larger_than_its_part_of_it() -> None:
    whole = bytearray(b"0123456789")
    half, less, all_of_it = memoryview(whole)[:5], memoryview(whole)[:4], memoryview(whole)
    head, first, second, third = data_packet(7, [half, less, all_of_it])
    assert bytes(head) == u32(9 + 19) + bytes([PacketType.DATA]) + u32(7) + u32(19)
    assert first is half
    assert (type(second), second) == (bytes, b"0123")
    assert third is all_of_it


def test_numbers_are_big_endian_and_strings_have_their_length() -> None:
    assert u32(0x01020304) == b"\1\2\3\4"
    assert u64(0x0102030405060708) == b"\1\2\3\4\5\6\7\x08"
    assert string(b"ab") == b"\0\0\0\2ab"
    assert packet(PacketType.STATUS, 7, b"ab", b"c") == u32(8) + bytes([101]) + u32(7) + b"abc"


def test_the_version_packet_announces_extensions_in_their_order() -> None:
    body = u32(3) + string(b"a") + string(b"1") + string(b"b") + string(b"2")
    assert version_packet([(b"a", b"1"), (b"b", b"2")]) == string(bytes([PacketType.VERSION]) + body)
