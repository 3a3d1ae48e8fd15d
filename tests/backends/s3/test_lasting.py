"""What is remembered beyond a listing is never shown of another object."""

from __future__ import annotations

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.lasting import Lasting

SEEN = FileInfo.file(5, 1000.0, '"a"', 0o600)
LINE = FileInfo.file(5, 7_000.25, '"a"')


def test_a_line_of_the_same_upload_is_completed() -> None:
    lasting = Lasting(10)
    lasting.keep_file("f", SEEN, 7_000.0)
    assert lasting.completed("f", LINE) == SEEN


def test_a_line_of_anything_else_is_left_as_it_is() -> None:
    lasting = Lasting(10)
    lasting.keep_file("f", SEEN, 7_000.0)
    for line in (
        FileInfo.file(5, 7_001.5, '"a"'),
        FileInfo.file(5, 6_998.5, '"a"'),
        FileInfo.file(5, 7_000.0, '"b"'),
        FileInfo.file(6, 7_000.0, '"a"'),
        FileInfo.file(5, None, '"a"'),
        FileInfo.directory(),
    ):
        assert lasting.completed("f", line) == line
    assert lasting.completed("g", LINE) == LINE


def test_a_directory_keeps_its_marker_s_time_until_it_has_none() -> None:
    lasting = Lasting(10)
    lasting.keep_directory("d", FileInfo.directory(1000.0))
    assert lasting.completed("d", FileInfo.directory()) == FileInfo.directory(1000.0)
    assert lasting.completed("d", LINE) == LINE
    lasting.keep_directory("d", FileInfo.directory())
    assert lasting.completed("d", FileInfo.directory()) == FileInfo.directory()


def test_only_what_a_listing_does_not_tell_takes_room_and_not_more_than_is_allowed() -> None:
    lasting = Lasting(10)
    lasting.keep_file("plain", FileInfo.file(5, 7_000.0, '"a"'), 7_000.0)
    lasting.keep_file("no version", FileInfo.file(5, 1.0), 7_000.0)
    assert len(lasting) == 0
    for number in range(20):
        lasting.keep_file(f"f{number}", SEEN, 7_000.0)
    assert len(lasting) == 10
    assert lasting.completed("f19", LINE) == SEEN
    assert lasting.completed("f9", LINE) == LINE


def test_a_tree_is_forgotten_whole_and_nothing_beside_it() -> None:
    lasting = Lasting(10)
    for key in ("a", "a/b", "a/b/c", "ab"):
        lasting.keep_file(key, SEEN, 7_000.0)
    lasting.forget("a/b", tree=True)
    assert [key for key in ("a", "a/b", "a/b/c", "ab") if lasting.completed(key, LINE) == SEEN] == ["a", "ab"]
