"""A root among things that are nobody's business: what the tests of containment stand on."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from s3sftp.backends import Place, Session
from s3sftp.backends.local import LocalBackend, LocalOptions, syscalls
from s3sftp.backends.local.tree import DirectoryTree

ALICE = Session("alice")
SECRET = b"nobody may read this"
WAYS = ["openat2", "following links", "walk"]
"""How the backend stays inside: `walk` is a kernel without openat2."""

_EXCHANGE = 2


def place(path: str | bytes) -> Place:
    raw = os.fsencode(path)
    return Place(tuple(name for name in raw.split(b"/") if name))


@contextmanager
def kernel(way: str) -> Iterator[None]:
    """A kernel as it is; or one without openat2 (`walk`); or without O_TMPFILE too (`named`)."""
    with pytest.MonkeyPatch.context() as patch:
        if way in ("walk", "named"):
            patch.setattr(syscalls, "openat2", lacks(errno.ENOSYS))
        if way == "named":
            patch.setattr(DirectoryTree, "open_unnamed", staticmethod(lambda directory: None))
        yield


def lacks(number: int):  # type: ignore[no-untyped-def]
    """A call that fails with that error."""

    def call(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


@asynccontextmanager
async def serving(root: Path, way: str = "openat2", **options: object) -> AsyncIterator[LocalBackend]:
    """A started backend on a directory."""
    if way == "following links":
        options["follow_symlinks"] = True
    with kernel(way):
        backend = LocalBackend(LocalOptions.model_validate({"root": root, "fsync": False, **options}))
        try:
            await backend.start()
            yield backend
        finally:
            await backend.stop()


class ContainmentTree:
    """`root` to serve, and `outside` beside it, full of things to hit."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.outside = directory / "outside"
        self.root.mkdir()
        for file in ("secret", "file", "a", "sub/secret", "sub/a", "only outside"):
            (self.outside / file).parent.mkdir(exist_ok=True, parents=True)
            (self.outside / file).write_bytes(SECRET)
        (self.outside / "empty").mkdir()
        self._before = self._all_of_it()

    def outside_is_untouched(self) -> None:
        assert self._all_of_it() == self._before

    def is_secret(self, inode: int) -> bool:
        return inode in {status[0] for status in self._before.values()}

    def _all_of_it(self) -> dict[str, tuple[object, ...]]:
        """Everything but access times: also a new link to a file would be seen."""
        seen: dict[str, tuple[object, ...]] = {}
        for file in [self.outside, *self.outside.rglob("*")]:
            s = file.lstat()
            content = file.read_bytes() if file.is_file() else sorted(os.listdir(file))
            seen[str(file)] = (
                s.st_ino,
                s.st_mode,
                s.st_nlink,
                s.st_size,
                s.st_mtime_ns,
                s.st_ctime_ns,
                content,
            )
        return seen


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), _EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
