"""Opening a file: the GET of its first bytes says what a HEAD would, so the reader sees what is stored now.

GET 0-1048575 ──► 404                        HEAD and LIST say: an empty file, a directory, or nothing
              ──► 206 bytes 0-9999/10000     a file of 10 000 bytes, on their way
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
    """The first bytes of a file on their way. Holds a connection until it is closed."""

    def __init__(self, pieces: AsyncGenerator[Buffer], body: ResponseBody, held: AsyncExitStack) -> None:
        self._pieces = pieces
        self._body = body
        self._held = held

    def __aiter__(self) -> OpenedBody:
        return self

    async def __anext__(self) -> Buffer:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Let go of all of it. Once is enough, more do no harm."""
        await self._pieces.aclose()
        self._body.close()  # pieces that were never asked for have not done so
        await self._held.aclose()


class FileOpener:
    """Opens files to be read."""

    def __init__(self, store: S3Client, facts: MetadataCache, heads: Lookup) -> None:
        self._store = store
        self._facts = facts
        self._heads = heads

    async def open(
        self, place: Place, key: str, stop: int, session: Session
    ) -> tuple[FileInfo, OpenedBody | None]:
        """A file as it is stored now and, where a connection is free, its bytes `[0, stop)` on their way.

        Raises NotFound, IsADirectory.
        """
        if place.is_root or not self._store.downloads.has_one:
            return await self._heads.file(place, session), None
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._store.downloads.one())
            moment = self._facts.moment()
            answer = await self._get(key, stop)
            if answer is None:
                return await self._heads.file(place, session), None
            body = response_body(answer)
            held.callback(body.close)
            size = size_of(answer, stop)
            if size is None:  # not the beginning, or of nobody knows how much
                return await self._heads.file(place, session), None
            info = self._heads.learn(key, session, {**answer, "ContentLength": size}, moment)
            if not info.size:  # some stores say so, others refuse the range
                return info, None
            pieces = read_pieces(
                self._store, self._facts, key, 0, min(stop, info.size), info.version, begun=body
            )
            return info, OpenedBody(pieces, body, held.pop_all())

    async def _get(self, key: str, stop: int) -> Answer | None:
        """The answer; None when the store says that there is no such range or object: HEAD is to decide."""
        try:
            return await self._store.call("GetObject", Key=key, Range=f"bytes=0-{stop - 1}")
        except NotFound:
            # SeaweedFS says so of an empty file too, where its name was a directory's: HEAD tells
            return None
        except StorageError as error:
            if has_status(error, 416):
                return None
            raise
