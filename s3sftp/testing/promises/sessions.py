"""Sessions: concurrent ones see one storage, and those of other tenants see none of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends import Session
from s3sftp.errors import NotFound
from s3sftp.testing.storage import Storage, assert_same, data_of
from s3sftp.testing.suite import Promises

LOOKS: dict[str, Callable[[Storage], Awaitable[object]]] = {
    "file_info": lambda storage: storage.info("d/file"),
    "delete": lambda storage: storage.remove("d/file"),
    "del_dir": lambda storage: storage.rmdir("d"),
    "rename": lambda storage: storage.rename("d/file", "stolen"),
    "copy": lambda storage: storage.copy("d/file", "stolen"),
    "set_mtime": lambda storage: storage.set_mtime("d/file", 1.0),
    "read_file": lambda storage: storage.whole("d/file"),
    "read_file_range": lambda storage: storage.part("d/file", 0, 1),
    "list_dir": lambda storage: storage.entries("d"),
}


class SessionPromises(Promises):
    """Several sessions."""

    def stranger_in(self, storage: Storage) -> Storage:
        if self.stranger is None:
            pytest.skip("this storage has one world for all: `stranger` names no session")
        return storage.seen_by(self.stranger)

    async def test_another_session_sees_what_one_has_done(self, storage: Storage) -> None:
        """Every session sees at once what another has done."""
        other = storage.seen_by(self.other_session)
        assert not await other.exists("d/file")
        await storage.put("d/file", b"content")
        assert await other.whole("d/file") == b"content"
        await other.rename("d/file", "d/renamed")
        assert await storage.names("d") == await other.names("d") == ["renamed"]
        await storage.remove("d/renamed")
        assert not await other.exists("d/renamed")

    async def test_sessions_that_write_at_once_do_not_mix(self, storage: Storage) -> None:
        """Uploads of two sessions, chunk by chunk in turn, become two files."""
        writings = [
            await each.begin(name)
            for name, each in (("one", storage), ("two", storage.seen_by(self.other_session)))
        ]
        for _ in range(2):
            for writing in writings:
                await writing.chunk()
        await asyncio.gather(*(writing.finish(data_of(3, seed)) for seed, writing in enumerate(writings)))
        assert_same(await storage.whole("one"), writings[0].sent)
        assert_same(await storage.whole("two"), writings[1].sent)

    @pytest.mark.parametrize(
        "session",
        [Session(""), Session("ä/../b\n"), Session("a" * 1000, attributes={"k": "v" * 5000})],
        ids=["of nobody", "of an odd name", "of a long name"],
    )
    async def test_no_session_is_too_odd(self, storage: Storage, session: Session) -> None:
        """Whatever user and attributes authentication returns, a listing does not fail with an unknown
        error."""
        try:
            await storage.seen_by(session).entries("")
        except NotFound:
            assert self.stranger is not None

    @pytest.mark.parametrize("operation", LOOKS)
    async def test_a_stranger_sees_nothing(self, storage: Storage, operation: str) -> None:
        """If tenants are separated, no call of one reaches a file of another."""
        stranger = self.stranger_in(storage)
        await storage.put("d/file", b"mine")
        with pytest.raises(NotFound):
            await LOOKS[operation](stranger)
        assert await storage.whole("d/file") == b"mine"

    async def test_a_stranger_s_upload_is_not_seen(self, storage: Storage) -> None:
        """No tenant sees what another one uploads."""
        stranger = self.stranger_in(storage)
        writing = await stranger.begin("file")
        await writing.chunk()
        await writing.finish(b"theirs")
        assert not await storage.exists("file")
        assert_same(await stranger.whole("file"), writing.sent)
