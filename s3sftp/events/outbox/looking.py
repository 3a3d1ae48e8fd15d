"""Asks the storage what is at a place, with the mark of the write that stored it."""

from __future__ import annotations

from s3sftp.backends import CompleteBackend, Place, Session
from s3sftp.backends.router import backend_at
from s3sftp.errors import NotFound
from s3sftp.events.outbox.objects import SmallObjects, VolatileObjects
from s3sftp.events.outbox.settling import Found

_SERVER = Session(user="")
"""The server itself: its requests are not signed for a user."""


def objects_of(backend: CompleteBackend) -> SmallObjects:
    """Where the outbox of a server with this storage is: in its bucket, or in memory if it has none."""
    from s3sftp.backends.s3.backend import S3Backend

    first = backend_at(backend, Place())
    if not isinstance(first, S3Backend):
        return VolatileObjects()
    from s3sftp.events.outbox.bucket import BucketObjects

    return BucketObjects(first.client)


async def look(backend: CompleteBackend, place: Place) -> Found | None:
    """What is at a place now; None for nothing. A file costs one HEAD; anything else one HEAD and one
    LIST more.

    Raises StorageError: if the store fails.
    """
    from s3sftp.backends.s3.backend import S3Backend

    real = backend_at(backend, place)
    if isinstance(real, S3Backend):
        found = await real.written_file(Place(place.names))
        if found is not None:
            return Found(found.mark, found.version, found.size, found.modified, found.version_id)
    try:
        info = await backend.file_info(place, _SERVER)
    except NotFound:
        return None
    return Found(None, info.version, info.size, info.mtime, is_dir=info.is_dir)
