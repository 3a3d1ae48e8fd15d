"""Storages that confuse who asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from s3sftp.backends import Entry, Place, Session, Upload, WriteIntent
from s3sftp.errors import Changed
from tests.testing.faulty_backends.faulty_backend import FaultyBackend
from tests.testing.tenant_storage import Tenants


class KnowsOneUser(
    FaultyBackend,
    breaks=("test_another_session_sees_what_one_has_done", "test_no_session_is_too_odd"),
):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        if session.user != "alice":
            raise Changed
        async for page in super().list_dir(place, session):
            yield page


class HasOneUpload(FaultyBackend, breaks=("test_sessions_that_write_at_once_do_not_mix",)):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        others = list(self.uploads)
        begun = await super().begin_write(place, intent, session)
        if others:
            begun._pieces = others[0]._pieces
        return begun


class HasOneWorldForAll(
    Tenants, FaultyBackend, breaks=("test_a_stranger_sees_nothing", "test_a_stranger_s_upload_is_not_seen")
):
    """Says that it has tenants, and does not look who asks."""

    def within(self, place: Place, session: Session) -> Place:
        return place
