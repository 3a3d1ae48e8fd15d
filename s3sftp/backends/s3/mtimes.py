"""Modification times that come late: S3 changes metadata only by writing the object again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from s3sftp.backends.contract import FileInfo, Place
from s3sftp.backends.s3.cache import Facts, Head
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.copying import Copying
from s3sftp.backends.s3.heads import Heads
from s3sftp.backends.s3.keys import Keys
from s3sftp.backends.s3.objects import mtime_of, mtime_text, version_of
from s3sftp.backends.s3.options import MTIME_METADATA
from s3sftp.errors import Changed, NotFound, StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")


class Mtimes:
    """Applies the policy for late modification times."""

    def __init__(self, store: Store, keys: Keys, facts: Facts, heads: Heads, copying: Copying) -> None:
        self._options = store.options
        self._keys = keys
        self._facts = facts
        self._heads = heads
        self._copying = copying

    async def set(self, place: Place, mtime: float) -> bool:
        """Give a file another time; False when the policy is to ignore it. Raises NotFound, Changed."""
        info = await self._heads.info(place)
        if info.is_dir or not self._wanted(info):
            return False
        await self._rewrite(self._keys.key_of(place), mtime)
        return True

    async def after_finish(self, key: str, info: FileInfo, mtime: float) -> FileInfo:
        """The same for a file that was just published: never fails, for the file is stored. One that has been
        replaced since is not ours to touch."""
        if not self._wanted(info):
            return info
        try:
            return await self._rewrite(key, mtime, info)
        except StorageError as error:
            _log.warning("s3_mtime_not_set", error=str(error), detail=error.detail)
            return info

    def _wanted(self, info: FileInfo) -> bool:
        return self._options.late_mtime == "copy" and info.size <= self._options.late_mtime_max_bytes

    async def _rewrite(self, key: str, mtime: float, ours: FileInfo | None = None) -> FileInfo:
        """Of what this process has written itself, all is known; should it be wrong, a HEAD tells."""
        fact = self._facts.get(key)
        if fact is not None and fact.head is not None:
            with suppress(Changed):
                return await self._rewrite_as(key, fact.head, mtime, ours)
        return await self._rewrite_as(key, await self._heads.head(key), mtime, ours)

    async def _rewrite_as(self, key: str, head: Head, mtime: float, ours: FileInfo | None) -> FileInfo:
        if ours is not None and (not ours.version or version_of(head) != ours.version):
            return ours
        info = FileInfo.file(int(head["ContentLength"]), mtime, version_of(head))
        if not self._wanted(info):
            raise NotFound  # replaced by a larger one meanwhile: nothing of ours to set
        if mtime_of(head.get("Metadata", {})) == mtime:
            return info
        metadata = {**head.get("Metadata", {}), MTIME_METADATA: mtime_text(mtime)}
        with self._facts.changing(key) as change:
            published = await self._copying.rewrite(key, head, metadata)
            info = replace(info, version=published.version)
            change.left(info, {**head, "Metadata": metadata, "ETag": info.version})
        return info
