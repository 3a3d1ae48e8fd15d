"""What a record is worth: which parts continue an upload, and whether they are those that were sent."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from s3sftp.backends.s3.checksums.digest import crc_text
from s3sftp.backends.s3.kept.records import (
    KeptRecord,
    contiguous,
    folder_of,
    has_tail_after,
    name_of_record,
    name_of_tail,
    parse_record,
    part_of_listing,
    proven_parts,
    record_of_tail,
    with_parts,
)
from s3sftp.backends.s3.write.part_sizes import UploadedPart

RECORD = KeptRecord("alice", "tenant/f", "owner", "write", "kept", 1.0, 2.0, upload_id="u")


def _sent(number: int, size: int = 10) -> UploadedPart:
    crc = zlib.crc32(bytes([number]) * size)
    return UploadedPart(number, size, f'"{number}"', {"ChecksumCRC32": crc_text(crc)}, crc, True)


def _listed(number: int, size: int = 10, **fields: str) -> UploadedPart:
    return part_of_listing({"PartNumber": number, "Size": size, "ETag": f'"{number}"', **fields})


def test_a_record_comes_back_as_it_was() -> None:
    record = with_parts(replace(RECORD, tail="t", tail_at=20, tail_bytes=3), [_sent(1), _sent(2)])
    assert parse_record(record.encoded()) == record


@pytest.mark.parametrize("data", [b"", b"[]", b'{"user": "alice"}', b"\xff"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_record(data)


def test_no_two_users_and_no_two_files_share_a_name() -> None:
    pairs = [("a", "b/c"), ("a/b", "c"), ("a", "b"), ("b", "a"), ("", "ab"), ("ab", ""), ('a", "b', "")]
    assert len({name_of_record(*pair) for pair in pairs}) == len(pairs)
    assert name_of_record("a", "x").startswith(folder_of("a"))
    assert folder_of("a") != folder_of("b")


def test_a_tail_leads_back_to_its_record() -> None:
    name = name_of_record("alice", "tenant/f")
    assert record_of_tail(name_of_tail(name, "nonce")) == name


def test_parts_count_up_to_the_first_gap_or_small_one() -> None:
    parts = [_sent(2), _sent(1), _sent(4)]
    assert [part.number for part in contiguous(parts, 10)] == [1, 2]
    assert [part.number for part in contiguous([_sent(1), _sent(2, 9), _sent(3)], 10)] == [1]
    assert contiguous([_sent(2)], 10) == []


def test_listed_parts_get_the_checksums_that_were_sent() -> None:
    sent = [_sent(1), _sent(2)]
    proven = proven_parts(with_parts(RECORD, sent), [_listed(1), _listed(2)])
    assert proven is not None
    assert [part.crc for part in proven] == [part.crc for part in sent]
    assert [part.checksum for part in proven] == [part.checksum for part in sent]


def test_parts_that_came_later_have_the_checksum_that_the_store_reports() -> None:
    later = _sent(2)
    proven = proven_parts(with_parts(RECORD, [_sent(1)]), [_listed(1), _listed(2, **later.checksum)])
    assert proven is not None
    assert [part.crc for part in proven] == [_sent(1).crc, later.crc]


@pytest.mark.parametrize(
    "listed",
    [
        [_listed(1)],
        [_listed(1), _listed(2, 11)],
        [_listed(1), replace(_listed(2), etag='"other"')],
        [_listed(1), _listed(2, ChecksumCRC32=crc_text(1))],
    ],
    ids=["lost", "another size", "another ETag", "another checksum"],
)
def test_parts_that_differ_prove_nothing(listed: list[UploadedPart]) -> None:
    assert proven_parts(with_parts(RECORD, [_sent(1), _sent(2)]), listed) is None


@pytest.mark.parametrize("text", ["!", "AAA=", "AAAAAA=="])
def test_a_record_whose_checksums_are_none_proves_nothing(text: str) -> None:
    record = replace(with_parts(RECORD, [_sent(1), _sent(2)]), parts_crc=text)
    assert proven_parts(record, [_listed(1), _listed(2)]) is None


def test_the_tail_counts_only_right_behind_the_parts() -> None:
    record = replace(RECORD, tail="t", tail_at=20, tail_bytes=3)
    assert has_tail_after(record, 20)
    assert not has_tail_after(record, 30)
    assert not has_tail_after(record, 10)
    assert not has_tail_after(replace(record, tail=None), 20)
