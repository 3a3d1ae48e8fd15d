"""Every promise of the contract on storages that have some of what is optional, each of them another part.

Those that have nothing, or streaming alone, are in `test_completion`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

from s3sftp.backends import Backend
from s3sftp.testing import NO_TIMES, BackendPromises, Subject
from tests.backends.partial_backends import STREAMING, with_only
from tests.backends.storages import in_memory


class _Made(BackendPromises):
    page_entries = 3
    optional: ClassVar[tuple[str, ...]] = ()
    posix = False

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend | Subject]:
        async with in_memory() as subject:
            yield replace(subject, backend=with_only(subject.backend, *self.optional, posix=self.posix))


class TestWholeFilesAndOSErrors(_Made):
    optional = ("set_mtime",)
    posix = True


class TestRangedReads(_Made):
    optional = ("read_file_range", "usage", "first_chunk_bytes")
    exempt = NO_TIMES


class TestStreamedWrites(_Made):
    optional = (*STREAMING, "copy")


class TestEverythingButKeptRanges(_Made):
    optional = (*STREAMING, "read_file_range", "copy", "set_mtime", "usage", "first_chunk_bytes")
    posix = True


class TestKeptRanges(_Made):
    optional = (*STREAMING, "keep_range")


del _Made, BackendPromises
