"""Every promise of the contract on a service in a task of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

from s3sftp.backends import Backend
from s3sftp.backends.service import Mailbox, callbacks_of, serve
from s3sftp.testing import NO_TIMES, BackendPromises, Subject
from tests.backends.partial_backends import STREAMING, with_only
from tests.backends.storages import in_memory


@asynccontextmanager
async def in_a_mailbox(subject: Subject) -> AsyncIterator[Subject]:
    mailbox = Mailbox(callbacks_of(subject.backend), first_chunk_bytes=7)
    async with asyncio.TaskGroup() as tasks:
        service = tasks.create_task(serve(mailbox, subject.backend))
        yield replace(subject, backend=mailbox.backend())
        service.cancel()


class TestEverything(BackendPromises):
    page_entries = 3
    optional: ClassVar[tuple[str, ...] | None] = None

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend | Subject]:
        async with in_memory() as subject:
            given = subject.backend
            if self.optional is not None:
                given = with_only(subject.backend, *self.optional)  # type: ignore[arg-type]
            async with in_a_mailbox(replace(subject, backend=given)) as served:
                yield served


class TestStreaming(TestEverything):
    optional = (*STREAMING, "read_file_range")


class TestWholeFiles(TestEverything):
    optional = ()
    exempt = NO_TIMES


del BackendPromises
