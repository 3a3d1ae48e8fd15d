"""Removes files and trees by DeleteObject and DeleteObjects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from s3sftp.backends.contract import Place, Session
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import is_batch_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.namespace.directories import DirectoryMarkers, marker_levels
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.backends.s3.write.delete_version import delete_version
from s3sftp.errors import Changed, StorageError
from s3sftp.runtime.concurrency import for_each
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
BATCH = 1000
"""Maximum keys of one DeleteObjects."""
_NOT_XML = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
"""Characters that the XML of DeleteObjects cannot carry. Names from this server lack them."""


class Remover:
    """Removes files and trees."""

    def __init__(
        self,
        client: S3Client,
        keys: KeyMapping,
        cache: MetadataCache,
        lookup: Lookup,
        directories: DirectoryMarkers,
        conditions: ConditionalSupport,
    ) -> None:
        self._client = client
        self._keys = keys
        self._cache = cache
        self._lookup = lookup
        self._directories = directories
        self._conditions = conditions

    async def delete(self, place: Place, session: Session) -> None:
        """Remove a file. Looks it up first, because S3 reports success for a missing object too.

        Raises NotFound: if it does not exist. Raises IsADirectory: if it is a directory.
        """
        await self._lookup.file(place, session)
        key = self._keys.key_of(place)
        with self._cache.changing(key, session):
            await delete_object(self._client, key)
        await self._directories.removed_below(place, session)

    async def source(self, key: str, version: str | None) -> None:
        """Remove an object that has been copied elsewhere, unless it has been replaced since.

        Raises Changed: if the object has another version.
        """
        if version is None:
            await delete_object(self._client, key)
            return
        try:
            await delete_version(self._client, self._conditions, key, version)
        except Changed as error:
            text = "copied, but the source was replaced meanwhile"
            raise Changed(text, detail=error.detail) from error.__cause__

    async def tree(self, top: str, keys: Sequence[str], *, keep_directories: bool = False) -> None:
        """Remove all these keys below `top`, in batches if the store supports them.

        Markers come last, the deepest first: stores with real directories behind the keys keep a marker as
        long as something is below it. With `keep_directories`, because something is, only files are removed.
        """
        await self._many([key for key in keys if not key.endswith("/")])
        if keep_directories:
            return
        markers = {key for key in keys if key.endswith("/")}
        depths = marker_levels(top, keys)
        for level in depths:
            await self._many([marker for marker in level if marker in markers])
        if await self._directories.is_listed_empty(top):
            for level in depths:
                await self._many(level)

    async def _many(self, keys: Sequence[str]) -> None:
        plain = [key for key in keys if not _NOT_XML.search(key)]
        await self._one_by_one([key for key in keys if _NOT_XML.search(key)])
        for start in range(0, len(plain), BATCH):
            await self._batch(plain[start : start + BATCH])

    async def _batch(self, keys: Sequence[str]) -> None:
        """Remove up to a thousand keys.

        Those that the reply does not list as deleted are removed one by one, because a quiet reply looks like
        an empty one. If the store does not support batches, all are removed one by one.
        """
        if not self._client.features.has(Feature.BATCH_DELETES):
            await self._one_by_one(keys)
            return
        try:
            answer: Answer = await self._client.call(
                "DeleteObjects", Delete={"Objects": [{"Key": key} for key in keys]}
            )
        except StorageError as error:
            if not is_batch_refusal(error):
                raise
            await self._client.features.do_without(Feature.BATCH_DELETES, error, self._one_by_one(keys))
            return
        gone = {line.get("Key") for line in answer.get("Deleted", ())}
        gone |= {line.get("Key") for line in answer.get("Errors", ()) if line.get("Code") == "NoSuchKey"}
        await self._one_by_one([key for key in keys if key not in gone])

    async def _one_by_one(self, keys: Iterable[str]) -> None:
        limit = self._client.options.parallel_copies
        await for_each(keys, lambda key: delete_object(self._client, key), limit)
