"""What is remembered of a version is never shown of another, in any worker."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.metadata.version_cache import ENTRY_BYTES, ROWS, VersionCache
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file

SEEN = FileInfo.file(5, 1000.25, '"a"', 0o600)
LINE = FileInfo.file(5, 7_000.0, '"a"')


def small(entries: int = 64) -> VersionCache:
    return VersionCache(SharedCounters.alone(entries * 4 + 1))


def test_a_version_s_time_and_mode_are_shown_where_a_listing_tells_of_that_version() -> None:
    versions = small()
    versions.put_file("f", SEEN, 7_000.0, reported_at=7_002.0)
    assert versions.completed("f", LINE) == SEEN
    assert versions.completed("f", replace(LINE, mtime=7_000.987)) == SEEN  # some stores list milliseconds


@pytest.mark.parametrize(
    "line",
    [
        replace(LINE, version='"b"'),
        replace(LINE, version=None),
        replace(LINE, size=6),
        replace(LINE, mtime=7_001.0),
        replace(LINE, mtime=None),
        FileInfo.directory(),
    ],
    ids=["other content", "no ETag", "other size", "a second later", "no time", "a directory"],
)
def test_it_is_shown_of_nothing_else(line: FileInfo) -> None:
    versions = small()
    versions.put_file("f", SEEN, 7_000.0, reported_at=7_002.0)
    assert versions.completed("f", line) is None
    assert versions.completed("g", LINE) is None


def test_a_version_that_has_no_mtime_of_its_own_is_remembered_too() -> None:
    versions = small()
    plain = FileInfo.file(5, 7_000.0, '"a"')
    versions.put_file("f", plain, 7_000.0, reported_at=7_002.0)
    assert versions.completed("f", LINE) == plain


@pytest.mark.parametrize("told", [6_000.0, 7_000.0, 7_001.0])
def test_what_was_told_within_the_second_of_the_upload_is_not_remembered(told: float) -> None:
    """Another version of that second, with other metadata and the same ETag, would look the same."""
    versions = small()
    versions.put_file("f", SEEN, 7_000.0, told)
    assert versions.completed("f", LINE) is None
    versions.put_file("f", SEEN, None, 9_000.0)
    assert versions.completed("f", LINE) is None


@pytest.mark.parametrize("mtime", [0.0, -1.5, 4294967295.0, 1e9 + 0.123456789, None])
def test_every_time_comes_back_as_it_was(mtime: float | None) -> None:
    versions = small()
    versions.put_file("f", replace(SEEN, mtime=mtime, mode=None), 7_000.0, reported_at=7_002.0)
    found = versions.completed("f", LINE)
    assert found is not None
    assert (found.mtime, found.mode) == (mtime, None)


def test_a_directory_has_what_was_seen_last_of_it_until_it_is_changed() -> None:
    versions = small()
    for info in (FileInfo.directory(1000.0), FileInfo.directory(), FileInfo.directory(2000.0)):
        versions.put_directory("d", info)
        assert versions.completed("d", FileInfo.directory()) == info
    assert versions.completed("d", LINE) is None
    versions.forget_directory("d")
    assert versions.completed("d", FileInfo.directory()) is None


def test_with_a_tree_go_the_directories_below_and_no_file() -> None:
    versions = small()
    versions.put_directory("a/b", FileInfo.directory(1000.0))
    versions.put_file("a/f", SEEN, 7_000.0, reported_at=7_002.0)
    versions.forget_directory("a", tree=True)
    assert versions.completed("a/b", FileInfo.directory()) is None
    assert versions.completed("a/f", LINE) == SEEN


def test_the_number_of_entries_is_bounded_and_the_latest_is_there() -> None:
    versions = small(64)
    for number in range(1000):
        versions.put_file(f"f{number}", SEEN, 7_000.0, reported_at=7_002.0)
        assert versions.completed(f"f{number}", LINE) == SEEN
    kept = sum(versions.completed(f"f{number}", LINE) is not None for number in range(1000))
    assert kept == 64


def test_a_listing_of_200_000_names_is_remembered_nearly_whole_in_8_mib() -> None:
    assert ROWS * 8 // ENTRY_BYTES == 262_144
    versions = VersionCache()
    for number in range(200_000):
        versions.put_file(f"d/f{number}", SEEN, 7_000.0, reported_at=7_002.0)
    known = sum(versions.completed(f"d/f{number}", LINE) is not None for number in range(0, 200_000, 20))
    assert known > 9_500


def test_what_one_worker_has_learned_another_knows() -> None:
    descriptor = create_shared_file(257, 2)
    first, second = (VersionCache(SharedCounters.shared(descriptor, 2, column)) for column in range(2))
    os.close(descriptor)
    first.put_file("f", SEEN, 7_000.0, reported_at=7_002.0)
    first.put_directory("d", FileInfo.directory(1000.0))
    assert second.completed("f", LINE) == SEEN
    second.forget_directory("d")
    assert first.completed("d", FileInfo.directory()) is None


def test_an_entry_that_is_being_written_is_not_there() -> None:
    table = SharedCounters.alone(65)
    versions = VersionCache(table)
    versions.put_file("f", SEEN, 7_000.0, reported_at=7_002.0)
    for word, number in enumerate(table.numbers):
        if number and word < 64:
            table.numbers[word] = number ^ 1 << 13
            assert versions.completed("f", LINE) is None
            table.numbers[word] = number
    assert versions.completed("f", LINE) == SEEN


def test_workers_that_write_one_place_at_once_show_nothing_wrong() -> None:
    table = SharedCounters.alone(65)  # one set: all fall on the same sixteen places
    names = [f"f{number}" for number in range(40)]
    wrong: list[FileInfo] = []

    def work() -> None:
        versions = VersionCache(table)
        for turn in range(20):
            for number, name in enumerate(names):
                versions.put_file(name, replace(SEEN, mtime=float(number)), 7_000.0, reported_at=7_002.0)
                other = (number + turn) % len(names)
                found = versions.completed(names[other], LINE)
                if found is not None and found.mtime != other:
                    wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
