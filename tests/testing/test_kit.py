"""The kit as a third party meets it: a project with one file, pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from s3sftp.testing.storage import assert_same

ROOT = Path(__file__).parents[2]

FIVE_LINES = """
from contextlib import asynccontextmanager
from s3sftp.backends.memory import MemoryBackend
from s3sftp.testing import BackendPromises

class TestMine(BackendPromises):
    {exempt}
    @asynccontextmanager
    async def open_storage(self):
        yield MemoryBackend(chunk_bytes=7)
"""
FAILS_TO_KEEP = """
import dataclasses
class Untimely(MemoryBackend):
    async def finish_write(self, upload, tail, finish, session):
        return await super().finish_write(upload, tail, dataclasses.replace(finish, mtime=None), session)
"""


def run_project(directory: Path, text: str, *arguments: str, mode: str = "strict") -> tuple[int, str]:
    """Run pytest there as somebody who has nothing but the package; its status and what it printed."""
    (directory / "test_mine.py").write_text(text)
    options = ["asyncio_default_fixture_loop_scope = function", "filterwarnings = error"]
    (directory / "pytest.ini").write_text("\n".join(["[pytest]", f"asyncio_mode = {mode}", *options]))
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_five_lines_run_the_kit_on_a_backend(tmp_path: Path, mode: str) -> None:
    status, output = run_project(tmp_path, FIVE_LINES.format(exempt=""), mode=mode)
    assert status == 0, output
    assert " passed" in output
    assert "failed" not in output


def test_the_five_lines_of_the_page_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing-backends.md").read_text("utf-8")
    [block] = [part.partition("```")[0] for part in page.split("```python\n")[1:] if "open_storage" in part]
    text = "from s3sftp.backends.memory import MemoryBackend as MyBackend\n" + block
    status, output = run_project(tmp_path, text, "-k", "chunk or rename or root")
    assert status == 0, output
    assert " passed" in output


def test_it_needs_no_plugin_for_async_tests(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FIVE_LINES.format(exempt=""))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-W", "error", "-k", "chunk"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_a_failure_shows_the_promise_and_the_values(tmp_path: Path) -> None:
    text = FIVE_LINES.format(exempt="").replace("class Test", FAILS_TO_KEEP + "class Test")
    text = text.replace("yield MemoryBackend", "yield Untimely")
    status, output = run_project(tmp_path, text, "-k", "test_the_time_given_at_the_end_is_kept")
    assert status == 1
    assert "`finish.mtime` becomes the modification time." in output
    assert "== 1000000000" in output


def test_an_exemption_is_an_expected_failure(tmp_path: Path) -> None:
    exempt = 'exempt = {"test_the_time_given_at_the_end_is_kept": "has no clock"}'
    text = FIVE_LINES.format(exempt=exempt).replace("class Test", FAILS_TO_KEEP + "class Test")
    text = text.replace("yield MemoryBackend", "yield Untimely")
    status, output = run_project(tmp_path, text, "-k", "test_the_time_given_at_the_end_is_kept")
    assert status == 0, output
    assert "exempt: has no clock" in output


def test_an_exemption_that_is_not_needed_fails(tmp_path: Path) -> None:
    exempt = 'exempt = {"test_an_empty_file_is_a_file": "no reason"}'
    status, output = run_project(tmp_path, FIVE_LINES.format(exempt=exempt), "-k", "empty_file")
    assert status == 1
    assert "[XPASS(strict)] exempt: no reason" in output


def test_an_exemption_that_names_no_promise_is_refused(tmp_path: Path) -> None:
    exempt = 'exempt = {"test_a_promise_that_is_not": "mistyped"}'
    status, output = run_project(tmp_path, FIVE_LINES.format(exempt=exempt))
    assert status == 2
    assert "exempt has names of no promise: test_a_promise_that_is_not" in output


LEAVES_UPLOADS = """
from contextlib import asynccontextmanager
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import Changed
from s3sftp.testing import BackendPromises, Subject

class Suspicious(MemoryBackend):
    async def finish_write(self, upload, tail, finish, session):
        if not finish.base_kept:
            raise Changed  # whether it has changed or not
        return await super().finish_write(upload, tail, finish, session)

class TestMine(BackendPromises):
    @asynccontextmanager
    async def open_storage(self):
        backend = Suspicious(chunk_bytes=7)

        async def unfinished():
            return backend.open_uploads

        yield Subject(backend, unfinished_uploads=unfinished)
"""


def test_what_one_test_left_behind_fails_no_other(tmp_path: Path) -> None:
    chosen = "keeps_nothing_of_its_base or aborted_write_leaves or same_path"
    _, output = run_project(tmp_path, LEAVES_UPLOADS, "-k", chosen, "-p", "no:randomly")
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert lines
    assert [line for line in lines if "keeps_nothing_of_its_base" not in line] == []
    assert "aborted" not in "".join(lines)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (b"abc", "expected 4 bytes and found 3, which differ from byte 1 on: expected b'XYZ', found b'bc'"),
        (b"aX", "expected b'YZ', found the end"),
        (b"aXYZ" + bytes(20), "differ from byte 4 on: expected the end, found " + repr(bytes(16)) + "…"),
    ],
    ids=["other bytes", "too few", "too many"],
)
def test_what_differs_is_told_by_its_first_byte(found: bytes, told: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same(found, b"aXYZ")
    assert told in str(caught.value)
