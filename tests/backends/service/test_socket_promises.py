"""Every promise of the contract on services behind a Unix socket, in this process and in others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

from s3sftp.backends import Backend
from s3sftp.testing import NO_TIMES, BackendPromises, Subject
from tests.backends.service.service_processes import (
    behind,
    memory,
    process_of,
    reference,
    served,
    short_directory,
)
from tests.backends.storages import in_memory, outside_of


class TestInThisProcess(BackendPromises):
    """Where what is left unfinished can be counted, and changed behind the service's back."""

    page_entries = 3

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend | Subject]:
        with short_directory() as directory:
            socket = directory / "socket"
            async with in_memory() as subject, served(socket, subject.backend):
                yield replace(subject, backend=behind(socket))


class TestStreamingInAnotherProcess(BackendPromises):
    page_entries = 3
    kind: ClassVar[str] = "streaming"

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend | Subject]:
        with short_directory() as directory:
            socket = directory / "socket"
            with process_of(socket, *memory(socket, self.kind)):
                yield behind(socket)


class TestWholeFilesInAnotherProcess(TestStreamingInAnotherProcess):
    kind = "whole files"
    exempt = NO_TIMES


class TestReference(BackendPromises):
    """The example, which knows nothing of s3sftp."""

    page_entries = 1000

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend | Subject]:
        with short_directory() as directory:
            socket, root = directory / "socket", directory / "root"
            root.mkdir()

            async def unfinished_uploads() -> int:
                return len(list(root.with_name("root.unfinished").iterdir()))

            with process_of(socket, *reference(socket, root)):
                yield Subject(behind(socket), outside_of(root), unfinished_uploads)


del BackendPromises
