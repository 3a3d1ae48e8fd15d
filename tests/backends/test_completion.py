"""Every promise of the contract on storages that lack what is optional, made complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends import Backend, Entry, FileInfo, Finish, Place, Session, WriteIntent
from s3sftp.backends.capabilities import Capabilities, examine
from s3sftp.backends.complete import complete
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.spool import SpoolFile, SpoolQuota
from s3sftp.errors import ConfigurationError, NotADirectory, NotFound, StorageFailure
from s3sftp.testing import NO_TIMES, BackendPromises
from tests.backends.minimal_backends import Streaming, WholeFiles


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
        complete(Three(), SpoolQuota(None, 1 << 20))


def test_a_wrong_signature_is_refused_with_what_is_expected() -> None:
    class Old(WholeFiles):
        async def delete(self, place: Place) -> None:  # type: ignore[override]
            await super().delete(place, Session("nobody"))

    with pytest.raises(ConfigurationError, match=r"Old: delete.*should take \(place, session\)"):
        complete(Old(), SpoolQuota(None, 1 << 20))


def test_parameters_in_another_order_are_refused_and_other_names_are_not() -> None:
    class Turned(WholeFiles):
        async def delete(self, session: Session, place: Place) -> None:  # type: ignore[override]
            ...

    class Renamed(WholeFiles):
        async def delete(self, path: Place, who: Session, *rest: object) -> None: ...

    with pytest.raises(ConfigurationError, match=r"should take \(place, session\), in this order"):
        complete(Turned(), SpoolQuota(None, 1 << 20))
    complete(Renamed(), SpoolQuota(None, 1 << 20))


def test_a_backend_that_has_everything_stays_itself() -> None:
    backend = MemoryBackend()
    assert complete(backend, SpoolQuota(None, 1 << 20)) is backend


@pytest.mark.parametrize("said", [FileNotFoundError, NotADirectoryError])
async def test_a_root_that_the_backend_does_not_know_is_an_empty_directory(said: type[OSError]) -> None:
    class Rootless(WholeFiles):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            if said is FileNotFoundError:
                raise said
            return FileInfo.file(7)

        async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
            raise said
            yield  # an async generator

    backend = complete(Rootless(), SpoolQuota(None, 1 << 20))
    assert (await backend.file_info(Place(), Session("alice"))).is_dir
    assert [page async for page in backend.list_dir(Place(), Session("alice"))] == []
    with pytest.raises((NotFound, NotADirectory)):
        [page async for page in backend.list_dir(Place((b"d",)), Session("alice"))]


async def test_an_upload_may_be_aborted_again_and_again_whatever_the_backend_says_to_that() -> None:
    class Clumsy(Streaming):
        calls = 0

        async def abort_write(self, *arguments: Any) -> None:
            self.calls += 1
            if self.calls == 1:
                raise OSError("not now")

    theirs = Clumsy()
    backend, alice = complete(theirs, SpoolQuota(None, 1 << 20)), Session("alice")
    upload = await backend.begin_write(Place((b"file",)), WriteIntent(), alice)
    for _ in range(3):
        await backend.abort_write(upload, alice)
    assert theirs.calls == 2  # once more after it failed, and then no more


@pytest.mark.parametrize("says", [None, "nonsense"])
async def test_an_upload_that_was_published_is_not_aborted_whatever_is_said_of_it(says: str | None) -> None:
    class Forgetful(Streaming):
        aborted = 0

        async def finish_write(self, *arguments: Any) -> Any:
            await super().finish_write(*arguments)
            return says

        async def file_info(self, place: Place, session: Session) -> FileInfo:
            raise OSError("not now")

        async def abort_write(self, *arguments: Any) -> None:
            self.aborted += 1

    theirs = Forgetful()
    backend, alice = complete(theirs, SpoolQuota(None, 1 << 20)), Session("alice")
    upload = await backend.begin_write(Place((b"file",)), WriteIntent(), alice)
    with pytest.raises(StorageFailure):
        await backend.finish_write(upload, b"content", Finish(7), alice)
    await backend.abort_write(upload, alice)
    assert theirs.aborted == 0


@pytest.mark.parametrize("missing", [NotFound, NotADirectory])
async def test_a_root_whose_listing_breaks_off_is_not_shown_as_complete(missing: type[Exception]) -> None:
    class Breaking(WholeFiles):
        async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
            yield [Entry(b"one", FileInfo.file(1))]
            raise missing

    backend = complete(Breaking(), SpoolQuota(None, 1 << 20))
    with pytest.raises(missing):
        [page async for page in backend.list_dir(Place(), Session("alice"))]


async def test_a_file_without_versions_that_is_opened_again_is_read_again() -> None:
    class Unversioned(WholeFiles):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            return FileInfo.file(3)

    theirs, alice, file = Unversioned(), Session("alice"), Place((b"file",))
    backend = complete(theirs, SpoolQuota(None, 1 << 20))
    for content in (b"one", b"two"):
        theirs.inner.put("file", content)
        info, _ = await backend.open_file(file, 100, alice)
        pieces = backend.read_file_range(file, 0, 3, info.version, alice)
        assert b"".join([bytes(piece) async for piece in pieces]) == content
    await backend.stop()


async def test_a_spool_that_cannot_be_made_is_a_failure_of_the_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailure) as failed:
        await SpoolFile.open(SpoolQuota(tmp_path / "gone", 1 << 20))
    assert "gone" in (failed.value.detail or "")
