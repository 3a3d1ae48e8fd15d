"""The values of the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from s3sftp.backends import Place
from s3sftp.errors import InvalidRequest


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0b"])
def test_a_name_that_no_storage_has_makes_no_place(name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Place((b"d",)).child(name)


def test_a_backend_with_types_may_leave_out_start_and_stop() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(Path(__file__).parent / "typed_backend.py")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
