"""Every promise of the contract on storages that lack what is optional, made complete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from s3sftp.backends import Backend, Place, Session
from s3sftp.backends.capabilities import Capabilities, examine
from s3sftp.backends.complete import complete
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.spool import SpoolRoom
from s3sftp.errors import ConfigurationError
from s3sftp.testing import NO_TIMES, BackendPromises
from tests.backends.lean import Streaming, WholeFiles


class TestWholeFilesOnly(BackendPromises):
    exempt = NO_TIMES

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend]:
        yield WholeFiles()


class TestStreamingOnly(BackendPromises):
    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend]:
        yield Streaming()


def test_each_optional_callback_is_detected_by_itself() -> None:
    assert examine(WholeFiles()) == Capabilities()
    assert examine(Streaming()) == Capabilities(ranged_reads=True, streamed_writes=True)


def test_three_of_the_four_that_stream_are_refused_by_name() -> None:
    class Three(Streaming):
        abort_write = None  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match=r"Three.*no abort_write"):
        complete(Three(), SpoolRoom(None, 1 << 20))


def test_a_wrong_signature_is_refused_with_what_is_expected() -> None:
    class Old(WholeFiles):
        async def delete(self, place: Place) -> None:  # type: ignore[override]
            await super().delete(place, Session("nobody"))

    with pytest.raises(ConfigurationError, match=r"Old: delete.*should take \(place, session\)"):
        complete(Old(), SpoolRoom(None, 1 << 20))


def test_a_backend_that_has_everything_stays_itself() -> None:
    backend = MemoryBackend()
    assert complete(backend, SpoolRoom(None, 1 << 20)) is backend
