"""Where the outbox of a server is, and what the storage says of a place."""

from __future__ import annotations

from s3sftp.backends import CompleteBackend, Place
from s3sftp.backends.in_front import BackendInFront
from s3sftp.backends.router import StorageRouter, backend_at
from s3sftp.backends.small_objects import SmallObjects, VolatileObjects
from s3sftp.events.outbox.settling import Found, StorageGone


def objects_of(backend: CompleteBackend) -> SmallObjects:
    """Where the outbox of a server with this storage is: in its bucket, or in memory if it has none."""
    return backend_at(backend, Place()).small_objects() or VolatileObjects()


async def look(backend: CompleteBackend, place: Place) -> Found | None:
    """What is at a place now; None for nothing.

    Raises StorageError: if the storage fails; StorageGone: if the configuration does not have it any more.
    """
    found = await _storage_of(backend, place).written_file(Place(place.names))
    if found is None:
        return None
    return Found(found.mark, found.version, found.size, found.modified, found.version_id, found.is_dir)


def _storage_of(backend: CompleteBackend, place: Place) -> CompleteBackend:
    while isinstance(backend, BackendInFront):
        backend = backend.behind
    names = backend.storages if isinstance(backend, StorageRouter) else [""]
    if place.storage not in names:
        raise StorageGone(place.storage)
    return backend_at(backend, place)
