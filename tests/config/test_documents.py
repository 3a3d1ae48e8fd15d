"""How files of options are read."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from s3sftp.config import read_document


def test_reading_a_small_file_reserves_no_memory_for_a_large_one(tmp_path: Path) -> None:
    file = tmp_path / "s3sftp.toml"
    file.write_text("backend = 'memory'\n")
    tracemalloc.start()
    try:
        read_document(file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 200_000])
def test_a_file_larger_than_most_is_read_whole(tmp_path: Path, size: int) -> None:
    file = tmp_path / "s3sftp.toml"
    text = "a" * (size - len("x = ''"))
    file.write_text(f"x = '{text}'")
    assert read_document(file)[0] == {"x": text}
