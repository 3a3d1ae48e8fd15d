"""Every promise of the contract on a directory, with each way to stay in it and to hide what has no name."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from s3sftp.backends.local import syscalls
from s3sftp.backends.local.tree import DirectoryTree
from s3sftp.testing import BackendPromises, Subject
from tests.backends.local.containment_tree import lacks
from tests.backends.storages import on_local


class TestContainedByTheKernel(BackendPromises):
    options: ClassVar[dict[str, object]] = {"chunk_bytes": 64 << 10}
    has_openat2 = True
    has_unnamed_files = True

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.root = tmp_path_factory

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        with pytest.MonkeyPatch.context() as patch:
            if not self.has_openat2:
                patch.setattr(syscalls, "openat2", lacks(errno.ENOSYS))
                patch.setattr(syscalls, "rename_exclusive", lacks(errno.EINVAL))
            if not self.has_unnamed_files:
                patch.setattr(DirectoryTree, "open_unnamed", staticmethod(lambda directory: None))
            async with on_local(self.root.mktemp("local"), **self.options) as subject:
                yield subject


class TestFollowingLinks(TestContainedByTheKernel):
    options = TestContainedByTheKernel.options | {"follow_symlinks": True}


class TestContainedByAWalk(TestContainedByTheKernel):
    """A kernel without openat2 and renameat2."""

    has_openat2 = False


class TestWithNamedUploads(TestContainedByTheKernel):
    """A file system without O_TMPFILE too."""

    has_openat2 = False
    has_unnamed_files = False
