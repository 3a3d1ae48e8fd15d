"""Whether files have changed since they were read, by whatever way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from s3sftp.config import SourceFiles
from tests.cli.mounted_secret import Mounted


def noted(*files: Path, directory: Path | None = None) -> SourceFiles:
    sources = SourceFiles()
    for file in files:
        sources.note(file)
    if directory is not None:
        sources.option_files(directory)
    return sources


def replace(file: Path) -> None:
    """By another one of the same size and times."""
    found, other = file.stat(), file.with_name("other")
    other.write_text(file.read_text().swapcase())
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.rename(file)


def set_back(file: Path) -> None:
    """Written in place, with the time that it had, as `rsync --times` or `touch -r` leave it."""
    found = file.stat()
    file.write_text(file.read_text().swapcase())
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("change", [replace, set_back, Path.unlink, lambda file: file.chmod(0)])
def test_a_file_that_changes_looks_different_whatever_its_size_and_time(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / "users.toml"
    file.write_text("content")
    sources = noted(file)
    assert sources.now() == sources.recorded()
    change(file)
    assert sources.now() != sources.recorded()


def test_a_link_that_is_swapped_somewhere_on_the_way_is_a_change(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path / "secret")
    mounted.write({"users.toml": "a", "unrelated": "a"})
    link = mounted.directory / "users.toml"
    sources = noted(link)
    before = os.lstat(link)
    mounted.write({"users.toml": "b", "unrelated": "a"})
    assert os.lstat(link).st_mtime_ns == before.st_mtime_ns
    assert sources.now() != sources.recorded()


def test_a_directory_has_its_visible_toml_files_and_changes_with_each_of_them(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path / "users")
    mounted.write({"b.toml": "", "a.toml": "", "README": ""})
    (mounted.directory / ".hidden.toml").touch()
    (mounted.directory / "a.toml~").touch()
    sources = SourceFiles()
    assert [file.name for file in sources.option_files(mounted.directory)] == ["a.toml", "b.toml"]
    assert sources.now() == sources.recorded()
    (mounted.directory / ".another").touch()
    assert sources.now() == sources.recorded()
    (mounted.directory / "c.toml").touch()
    looks = [sources.recorded(), sources.now()]
    (mounted.directory / "c.toml").write_text("half written")
    looks.append(sources.now())
    (mounted.directory / "a.toml").unlink()
    looks.append(sources.now())
    assert all(a != b for n, a in enumerate(looks) for b in looks[n + 1 :])


def test_what_is_missing_is_noted_and_seen_when_it_comes(tmp_path: Path) -> None:
    sources = noted(tmp_path / "keys")
    with pytest.raises(OSError, match="No such file"):
        sources.option_files(tmp_path / "users")
    assert sources.now() == sources.recorded()
    (tmp_path / "users").mkdir()
    assert sources.now() != sources.recorded()
