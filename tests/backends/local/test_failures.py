"""What the disk fails with is told clearly and publishes nothing; a root of no use ends the start."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from s3sftp.backends.local import LocalBackend, LocalOptions
from s3sftp.errors import ConfigurationError, NoSpace, PermissionDenied, StorageError, StorageFailure
from tests.backends.local.containment_tree import ALICE, kernel, lacks, place, serving
from tests.backends.storages import unfinished_in

FULL = pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (errno.ENOSPC, NoSpace, "no space left"),
        (errno.EDQUOT, NoSpace, "quota exceeded"),
        (errno.EFBIG, NoSpace, "file too large"),
        (errno.EIO, StorageFailure, "storage failure"),
        (errno.EROFS, PermissionDenied, "read-only storage"),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else "",
)


@FULL
@pytest.mark.parametrize("call", ["pwrite", "fsync", "link", "mkdir"])
async def test_a_disk_that_refuses_is_told_as_what_it_is_and_nothing_is_published(
    call: str,
    number: int,
    error: type[StorageError],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(tmp_path, fsync=True) as backend:
        monkeypatch.setattr(os, call, lacks(number))
        with pytest.raises(error, match=text) as failure:
            await backend.write_file(place("d/file"), b"content", ALICE)
        monkeypatch.undo()
        assert str(tmp_path) not in str(failure.value)
    assert os.listdir(tmp_path) == []
    assert unfinished_in(tmp_path) == []


async def test_a_limit_of_the_kernel_is_no_space(tmp_path: Path) -> None:
    """A real one: the largest file that the process may write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with serving(tmp_path) as backend:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(NoSpace, match="file too large"):
                await backend.write_file(place("file"), bytes(200_000), ALICE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("root", ["missing", "file", "file/below"])
async def test_a_root_that_is_no_directory_ends_the_start(root: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    backend = LocalBackend(LocalOptions(root=tmp_path / root))
    with pytest.raises(ConfigurationError) as failure:
        await backend.start()
    await backend.stop()
    said = "No such file or directory" if root == "missing" else "Not a directory"
    assert failure.value.problems == (f"local.root = '{tmp_path / root}': {said}",)


async def test_a_root_that_may_not_be_read_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(LocalOptions(root=tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lacks(errno.EACCES))
        with pytest.raises(ConfigurationError, match="Permission denied"):
            await backend.start()
    await backend.stop()


async def test_links_are_only_followed_where_the_kernel_keeps_them_inside(tmp_path: Path) -> None:
    backend = LocalBackend(LocalOptions(root=tmp_path, follow_symlinks=True))
    with kernel("walk"), pytest.raises(ConfigurationError, match="openat2"):
        await backend.start()
    await backend.stop()


async def test_a_name_that_is_too_long_is_said_to_be(tmp_path: Path) -> None:
    async with serving(tmp_path) as backend:
        with pytest.raises(StorageError, match="name too long"):
            await backend.write_file(place("n" * 256), b"", ALICE)


async def test_a_path_may_be_as_deep_as_the_kernel_takes(tmp_path: Path) -> None:
    deep = "d/" * 1500 + "file"
    for way in ("openat2", "walk"):
        async with serving(tmp_path, way) as backend:
            await backend.write_file(place(deep), way.encode(), ALICE)
            assert await backend.read_file(place(deep), ALICE) == way.encode()
    # pytest's own clean-up is recursive
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


async def test_usage_is_that_of_the_file_system(tmp_path: Path) -> None:
    async with serving(tmp_path) as backend:
        usage = await backend.usage(place("not/there/yet"), ALICE)
    status = os.statvfs(tmp_path)
    assert usage.total_bytes == status.f_blocks * status.f_frsize
    assert usage.used_bytes is not None
    assert 0 < usage.used_bytes <= usage.total_bytes


class TestOptions:
    def test_permissions_are_octal(self) -> None:
        options = LocalOptions.model_validate({"root": "/srv", "file_mode": "0640", "dir_mode": 0o750})
        assert (options.file_mode, options.dir_mode) == (0o640, 0o750)
        assert LocalOptions.model_validate_json(options.model_dump_json()) == options

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"root": "relative"}, "absolute path"),
            ({"file_mode": "rw-r--r--"}, "octal"),
            ({"file_mode": "0888"}, "octal"),
            ({"dir_mode": "77777"}, "4095"),
            ({"threads": 0}, "greater than or equal to 1"),
        ],
    )
    def test_what_is_wrong_is_said(self, wrong: dict[str, object], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            LocalOptions.model_validate({"root": "/srv", **wrong})


def test_it_runs_on_no_other_library_than_the_standard_one() -> None:
    """Neither an S3 client nor botocore is loaded for it."""
    script = "import sys, s3sftp.backends.local; print([m for m in sys.modules if 'botocore' in m])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


# ── starting ────────────────────────────────────────────────────────────────────────────────────────


async def test_it_can_be_started_again(tmp_path: Path) -> None:
    backend = LocalBackend(LocalOptions(root=tmp_path))
    for content in (b"one", b"two"):
        await backend.start()
        await backend.write_file(place("file"), content, ALICE)
        await backend.stop()
        await backend.stop()
    assert (tmp_path / "file").read_bytes() == b"two"


async def test_a_start_that_is_cancelled_leaves_no_descriptor(tmp_path: Path) -> None:
    def opened() -> int:
        return sum(
            os.path.realpath(f"/proc/self/fd/{each}") == str(tmp_path) for each in os.listdir("/proc/self/fd")
        )

    for steps in [*range(8)] * 5:
        backend = LocalBackend(LocalOptions(root=tmp_path))
        starting = asyncio.create_task(backend.start())
        for _ in range(steps):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await backend.stop()
    assert opened() == 0
