"""Opens a file by a GET of its first bytes, which also describes it as a HEAD would.

So the reader sees the file that is stored now, and most files need no HEAD:

    GET 0-1048575 ──► 404                        HEAD and LIST decide: an empty file, a directory, or nothing
                  ──► 206 bytes 0-9999/10000     a file of 10 000 bytes, whose first bytes follow
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from s3sftp.backends.contract import Buffer, FileInfo, Place, Session
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_status
from s3sftp.backends.s3.http.response_body import ResponseBody, response_body
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.metadata.objects import size_of
from s3sftp.backends.s3.read.ranged_get import read_pieces
from s3sftp.errors import NotFound, StorageError


class OpenedBody:
    """The first bytes of a file as they arrive. Holds a connection until it is closed."""

    def __init__(self, pieces: AsyncGenerator[Buffer], body: ResponseBody, held: AsyncExitStack) -> None:
        self._pieces = pieces
        self._body = body
        self._held = held

    def __aiter__(self) -> OpenedBody:
        return self

    async def __anext__(self) -> Buffer:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Release the body and its connection. May be called more than once."""
        await self._pieces.aclose()
        self._body.close()  # the generator does not close the body if it was never started
        await self._held.aclose()


class FileOpener:
    """Opens files for reading."""

    def __init__(self, client: S3Client, cache: MetadataCache, lookup: Lookup) -> None:
        self._client = client
        self._cache = cache
        self._lookup = lookup

    async def open(
        self, place: Place, key: str, stop: int, session: Session
    ) -> tuple[FileInfo, OpenedBody | None]:
        """Return a file as it is stored now and, if a connection is free, its bytes `[0, stop)` as they
        arrive.

        Raises NotFound: if nothing exists. Raises IsADirectory: if it is a directory.
        """
        if place.is_root or not self._client.downloads.has_slot:
            return await self._lookup.file(place, session), None
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._client.downloads.slot())
            read_point = self._cache.read_point()
            answer = await self._get(key, stop)
            if answer is None:
                return await self._lookup.file(place, session), None
            body = response_body(answer)
            held.callback(body.close)
            size = size_of(answer, stop)
            if size is None:  # the reply does not begin at 0, or its total size is unknown
                return await self._lookup.file(place, session), None
            info = self._lookup.record(key, session, {**answer, "ContentLength": size}, read_point)
            if not info.size:  # some stores reply so for an empty file, others refuse the range
                return info, None
            pieces = read_pieces(
                self._client, self._cache, key, 0, min(stop, info.size), info.version, begun=body
            )
            return info, OpenedBody(pieces, body, held.pop_all())

    async def _get(self, key: str, stop: int) -> Answer | None:
        """Send the GET.

        None if the store replies that there is no such range or object: then a HEAD decides.
        """
        try:
            return await self._client.call("GetObject", Key=key, Range=f"bytes=0-{stop - 1}")
        except NotFound:
            # SeaweedFS replies so for an empty file too, if its name was a directory's; the HEAD decides.
            return None
        except StorageError as error:
            if has_status(error, 416):
                return None
            raise
