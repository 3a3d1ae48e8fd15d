"""What the file layer needs of a storage that keeps uploads which end without CLOSE (`files.resume`).

    upload ─► connection lost ─► keep ─► find (STAT) ─► adopt (OPEN and WRITE) ─► finish_write
                                      └► discard (TRUNC, REMOVE, RENAME onto it), or the time limit

A kept upload belongs to one user and one place. Nobody else can find it, and no listing shows it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from s3sftp.backends.contract import Place, Session, Upload


@dataclass(frozen=True, slots=True)
class KeepLimits:
    """How long uploads are kept, and how much of each user."""

    seconds: float
    uploads: int
    """The maximum number of a user's kept uploads."""
    bytes: int
    """The maximum of their bytes together."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A kept upload, as its user sees it."""

    size: int
    """The bytes that are stored, from the start of the file."""
    kept_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class AdoptedBytes:
    """Where an upload goes on."""

    stored: int
    """The bytes that are stored as parts of the upload, and cannot change any more."""
    tail: bytes
    """The bytes that follow them, which are to be written again."""


class KeptUploads(Protocol):
    """The kept uploads of one storage. Every call raises StorageError if the storage fails."""

    async def start(self) -> None:
        """Begin to remove what is too old."""

    async def stop(self) -> None:
        """End that. What is kept stays."""

    def watch(self, upload: Upload, session: Session) -> None:
        """Make an upload one that may be kept, whatever becomes of this process, before its first chunk.
        Does nothing if the upload may keep bytes of a stored file."""

    async def find(self, place: Place, session: Session) -> KeptFile | None:
        """Return the user's kept upload to a place; None if there is none, or if it is still running here."""

    async def adopt(
        self, upload: Upload, session: Session, offset: int | None, at_least: int = 0
    ) -> AdoptedBytes | None:
        """Continue the user's kept upload with a new one, which has just begun. None: there is none.

        `offset`: where the client goes on; None: at the end, wherever that is. Chunks behind it are dropped.
        `at_least`: the bytes that the client was told are stored. Of several that try, one succeeds. Raises
        Changed: for the others, or if fewer are stored; Unsupported: if the offset is within a stored chunk.
        """

    async def keep(self, upload: Upload, tail: bytes, session: Session) -> int | None:
        """End an upload, and keep its chunks and the bytes that follow them. Chunks that are still under way
        are given up, with all that follows them.

        Returns the size kept; None if the limits forbid it, or if there is nothing to keep: then the upload
        is still to be aborted.
        """

    async def discard(self, place: Place, session: Session, *, by_removal: bool) -> bool:
        """Remove the user's kept upload to a place, and return whether there was one. `by_removal`: also one
        that may be running in another process; otherwise that one is only forgotten."""


@dataclass(frozen=True, slots=True)
class SurveyedUpload:
    """One kept upload, or a running one that may be kept, as an operator sees it."""

    id: str
    """What names it in commands."""
    state: str
    user: str
    key: str
    size: int | None
    """The bytes that can be continued; None if nothing can."""
    dollars_a_month: float
    """What its bytes cost, at the list price of the storage."""
    began_at: float
    """Seconds since the epoch."""
    written_at: float
    """When its record was last written, in seconds since the epoch."""
    upload_id: str | None
    """Its id at the storage, if it has parts there."""
    tail_bytes: int
    """The bytes behind the last part."""


class KeptSurvey(Protocol):
    """All uploads that are kept in one storage, whoever's they are. Every call raises StorageError if the
    storage fails."""

    def uploads(self) -> AsyncIterator[SurveyedUpload]:
        """Yield all that have a record."""

    async def abort(self, upload_id: str) -> bool:
        """Remove one with its parts, and return whether there was one. `upload_id`: its `id`."""


@runtime_checkable
class KeepsUploads(Protocol):
    """A storage that can keep uploads."""

    def kept_uploads(self, limits: KeepLimits) -> KeptUploads:
        """Return what keeps them. Called once, before the start."""

    def kept_survey(self, limits: KeepLimits) -> KeptSurvey:
        """Return what shows an operator the kept uploads."""
