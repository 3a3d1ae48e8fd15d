"""What is remembered beyond a listing is never shown of another object."""

from __future__ import annotations

from dataclasses import replace

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.lasting import Lasting

SEEN = FileInfo.file(5, 1000.0, '"a"', 0o600)
LINE = FileInfo.file(5, 7_000.25, '"a"')


def test_a_line_of_the_same_upload_is_completed() -> None:
    lasting = Lasting(10)
    lasting.keep_file("f", SEEN, 7_000.0)
    assert lasting.completed("f", LINE) == (SEEN, False)


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
        assert lasting.completed("f", line) == (line, not line.is_dir)
    assert lasting.completed("g", LINE) == (LINE, True)


def test_what_the_store_told_after_the_second_of_the_upload_is_sure_of_that_second_and_no_other() -> None:
    lasting = Lasting(10)
    lasting.keep_file("early", SEEN, 7_000.0, told=7_001.0)
    lasting.keep_file("settled", SEEN, 7_000.0, told=7_002.0)
    assert lasting.completed("early", LINE) == (SEEN, False)
    assert lasting.completed("settled", LINE) == (SEEN, True)
    later = replace(LINE, mtime=7_001.0)
    assert lasting.completed("early", later) == (SEEN, False)
    assert lasting.completed("settled", later) == (later, True)


def test_what_another_worker_may_have_changed_within_the_second_is_neither_shown_nor_denied() -> None:
    generation = 1
    lasting = Lasting(10, lambda _: generation)
    lasting.keep_file("ours", SEEN, 7_000.0, generation)
    lasting.keep_file("settled", SEEN, 7_000.0, generation, told=7_002.0)
    generation = 2
    assert lasting.completed("ours", LINE) == (LINE, False)
    assert lasting.completed("settled", LINE) == (SEEN, True)


def test_a_directory_keeps_its_marker_s_time_until_it_has_none() -> None:
    lasting = Lasting(10)
    lasting.keep_directory("d", FileInfo.directory(1000.0))
    assert lasting.completed("d", FileInfo.directory()) == (FileInfo.directory(1000.0), False)
    assert lasting.completed("d", LINE) == (LINE, True)
    lasting.keep_directory("d", FileInfo.directory())
    assert lasting.completed("d", FileInfo.directory()) == (FileInfo.directory(), False)


def test_only_what_a_listing_does_not_tell_takes_room_and_not_more_than_is_allowed() -> None:
    lasting = Lasting(10)
    lasting.keep_file("plain", FileInfo.file(5, 7_000.0, '"a"'), 7_000.0)
    lasting.keep_file("no version", FileInfo.file(5, 1.0), 7_000.0)
    assert len(lasting) == 0
    for number in range(20):
        lasting.keep_file(f"f{number}", SEEN, 7_000.0)
    assert len(lasting) == 10
    assert lasting.completed("f19", LINE)[0] == SEEN
    assert lasting.completed("f9", LINE)[0] == LINE


def test_a_tree_is_forgotten_whole_and_nothing_beside_it() -> None:
    lasting = Lasting(10)
    for key in ("a", "a/b", "a/b/c", "ab"):
        lasting.keep_file(key, SEEN, 7_000.0)
    lasting.forget("a/b", tree=True)
    kept = [key for key in ("a", "a/b", "a/b/c", "ab") if lasting.completed(key, LINE)[0] == SEEN]
    assert kept == ["a", "ab"]
