"""Applies late modification times and permissions, by copying the object onto itself.

S3 cannot change the metadata of an object in place.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace

from s3sftp.backends.contract import FileInfo, Place, Session
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import request_error_behind
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import CachedMetadata, Head, MetadataCache
from s3sftp.backends.s3.metadata.equivalent_versions import has_former, with_former
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.metadata.mtime_text import mtime_of, mtime_text
from s3sftp.backends.s3.metadata.objects import mode_text, version_of
from s3sftp.backends.s3.options import MODE_METADATA, MTIME_METADATA
from s3sftp.backends.s3.write.copying import ObjectCopier
from s3sftp.errors import Changed, InvalidRequest, NotFound, PermissionDenied, StorageError, Unsupported
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_REFUSALS = ("InvalidRequest", "InvalidArgument", "InvalidStorageClass")


@dataclass(frozen=True, slots=True)
class AttributeUpdate:
    """Attributes to write into the metadata of an existing object. None: unchanged."""

    mtime: float | None = None
    mode: int | None = None

    def __bool__(self) -> bool:
        return self.mtime is not None or self.mode is not None

    def is_set(self, head: Head) -> bool:
        """Whether the object that `head` describes already has them."""
        metadata: dict[str, str] = head.get("Metadata", {})
        if self.mode is None:
            return mtime_of(metadata) == self.mtime
        return self.changed(metadata, None) == metadata

    def changed(self, metadata: dict[str, str], mtime: float | None) -> dict[str, str]:
        """Return the metadata with these attributes.

        The copy has a new upload time. Permissions must not change the modification time, so if `mtime` was
        only the upload time, it is written into the metadata.
        """
        if self.mtime is not None:
            metadata = {**metadata, MTIME_METADATA: mtime_text(self.mtime)}
        if self.mode is not None:
            metadata = {**metadata, MODE_METADATA: mode_text(self.mode)}
            if mtime is not None:
                metadata.setdefault(MTIME_METADATA, mtime_text(mtime))
        return metadata


class LateAttributes:
    """Applies the options for late attributes."""

    def __init__(
        self, client: S3Client, keys: KeyMapping, cache: MetadataCache, lookup: Lookup, copying: ObjectCopier
    ) -> None:
        self._options = client.options
        self._keys = keys
        self._cache = cache
        self._lookup = lookup
        self._copying = copying
        self._digests_stay = True
        """Whether every copy of an object onto itself has so far kept an ETag that looks like a digest."""

    async def set(self, place: Place, late: AttributeUpdate, session: Session) -> bool:
        """Set attributes of a file. False if the options ignore them, or if the store refuses to copy this
        object.

        Raises NotFound: if there is no file. Raises Changed: if it is replaced meanwhile.
        """
        if place.is_root:
            return False
        key = self._keys.key_of(place)
        cached = self._cache.get(key, session)
        if (
            cached is not None
            and cached.head is not None
            and _is_enough(cached, late)
            and self._wanted(cached.info)
        ):
            with suppress(Changed, NotFound):  # the object differs from what the session knew
                if not late.is_set(cached.head):
                    return await _unless_refused(
                        self._rewrite_as(key, cached.head, cached.info, late, None, session)
                    )
        info = await self._lookup.info(place, session)
        if info.is_dir or not self._wanted(info):
            return False
        return await _unless_refused(self._rewrite(key, late, session))

    async def after_finish(
        self, key: str, info: FileInfo, late: AttributeUpdate, session: Session
    ) -> FileInfo:
        """Set attributes of a file that was just completed. Never fails, because the file is stored. A file
        that has been replaced since is left alone."""
        if not self._wanted(info):
            return info
        try:
            return await self._rewrite(key, late, session, info)
        except StorageError as error:
            _log.warning("s3.mtime_not_set", error=str(error), detail=error.detail)
            return info

    def _wanted(self, info: FileInfo) -> bool:
        copies = self._options.keeps_times and self._options.late_mtime == "copy"
        return copies and info.size <= self._options.late_mtime_max_bytes

    async def _rewrite(
        self, key: str, late: AttributeUpdate, session: Session, ours: FileInfo | None = None
    ) -> FileInfo:
        """Rewrite the object from the session's cached metadata or, if that is outdated, from a HEAD."""
        cached = self._cache.get(key, session)
        if cached is not None and cached.head is not None and _is_enough(cached, late):
            with suppress(Changed):
                return await self._rewrite_as(key, cached.head, cached.info, late, ours, session)
        head = await self._lookup.head(key, session)
        return await self._rewrite_as(key, head, self._lookup.described(head), late, ours, session)

    async def _rewrite_as(
        self,
        key: str,
        head: Head,
        info: FileInfo,
        late: AttributeUpdate,
        ours: FileInfo | None,
        session: Session,
    ) -> FileInfo:
        """Rewrite the object that `head` describes, of which `info` is the converted form."""
        if ours is not None and (not ours.version or version_of(head) != ours.version):
            return ours
        if not self._wanted(info):
            raise NotFound  # replaced by a larger one meanwhile, which is not ours to change
        info = replace(
            info,
            mtime=info.mtime if late.mtime is None else late.mtime,
            mode=info.mode if late.mode is None else late.mode,
        )
        if late.is_set(head):
            return info
        metadata = late.changed(head.get("Metadata", {}), info.mtime)
        with self._cache.changing(key, session) as change:
            metadata = with_former(metadata, head, digests_stay=self._digests_stay)
            completed = await self._copying.rewrite(key, head, metadata)
            self._digests_stay &= has_former(metadata) or completed.version == version_of(head)
            self._cache.rewritten.note(key, version_of(head), completed.version)
            info = replace(info, version=completed.version)
            new = {**head, "Metadata": metadata, "ETag": info.version}
            change.left(info, new)
        return info


def _is_enough(cached: CachedMetadata, late: AttributeUpdate) -> bool:
    """Whether the cached metadata suffices for the new: permissions must leave the time unchanged."""
    return late.mtime is not None or not cached.time_unknown


async def _unless_refused(copy: Awaitable[object]) -> bool:
    """Await a copy. False, with a log line, if the store refuses to copy this object."""
    try:
        await copy
    except StorageError as error:
        if not _is_refused(error):
            raise
        _log.warning("s3.mtime_not_set", error=str(error), detail=error.detail)
        return False
    return True


def _is_refused(error: StorageError) -> bool:
    """Whether the store refuses to copy this object permanently: it is archived or too large, or a permission
    for its tags or its key is missing."""
    if isinstance(error, PermissionDenied | Unsupported | InvalidRequest):
        return True
    request_error = request_error_behind(error)
    return request_error is not None and (
        request_error.code in _REFUSALS
        or (request_error.status == 400 and request_error.code.startswith("KMS."))
    )
