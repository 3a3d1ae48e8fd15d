"""Turns messages into calls of a `Backend` object's methods: the service's end, for both kinds of service.

`Dispatcher` holds the state between messages: uploads by their numbers (`UploadReceiver`), and listings by
their cursors (`PagedListing`). `end` releases it, and aborts the uploads.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from s3sftp.backends.contract import Backend, Entry
from s3sftp.backends.operations import OPERATIONS
from s3sftp.backends.service import messages as ask
from s3sftp.backends.service.messages import Message, Page
from s3sftp.backends.service.upload_receiver import UploadReceiver
from s3sftp.errors import InvalidRequest, StorageFailure, Unsupported
from s3sftp.runtime.cancellation import StrayCancellationGuard, cancel_and_wait

_cancelled_is_failed = StrayCancellationGuard(
    lambda: StorageFailure(detail="the call was cancelled by something of its own")
)

PAGE_ENTRIES = 500
"""Maximum entries of a page, so that it fits in a frame whatever the names are."""
_LEFT_SECONDS = 3600.0


class Dispatcher:
    """The uploads and listings of one user of a backend: a mailbox or a connection."""

    def __init__(self, backend: Backend) -> None:
        # a message comes only for a method that the backend has announced; any other is answered with ENOSYS
        self._backend: Any = backend
        self._uploads: dict[int, UploadReceiver] = {}
        self._listings: dict[int, PagedListing] = {}
        self._cursors = itertools.count(1)

    async def answer(self, message: Message) -> object:
        """Execute a message and return the answer.

        Raises Unsupported: if the backend lacks the operation.
        Raises any other error: if the backend raises it.
        """
        with _cancelled_is_failed:
            return await self._answer(message)

    async def _answer(self, message: Message) -> object:
        match message:
            case ask.ListDir():
                return await self._next_page(message)
            case ask.EndList(cursor, _):
                await self._end_listing(cursor)
                return None
            case ask.BeginWrite() | ask.WriteChunk() | ask.KeepRange() | ask.FinishWrite() | ask.AbortWrite():
                return await self._receive(message)
        if not hasattr(self._backend, message.operation):
            raise Unsupported(detail=f"no {message.operation} here")
        if isinstance(message, ask.ReadFileRange):
            return await self._read(message)
        return await self._call(message)

    async def end(self) -> None:
        """Abort every upload and close every listing. An error of one does not keep the others from
        ending."""
        uploads, self._uploads = list(self._uploads.values()), {}
        listings, self._listings = list(self._listings.values()), {}
        await asyncio.gather(
            *(upload.abort() for upload in uploads),
            *(listing.close() for listing in listings),
            return_exceptions=True,
        )

    async def _call(self, message: Message) -> object:
        """Call the method whose parameters are the fields of the message."""
        operation = OPERATIONS[message.operation]
        arguments = [getattr(message, name) for name in operation.positional]
        keywords = {name: getattr(message, name) for name in operation.keywords}
        answer = await getattr(self._backend, operation.name)(*arguments, **keywords)
        return bytes(answer) if message.answer is bytes else answer

    async def _read(self, wanted: ask.ReadFileRange) -> bytes:
        pieces = self._backend.read_file_range(
            wanted.place, wanted.start, wanted.stop, wanted.version, wanted.session
        )
        async with aclosing(pieces):
            return b"".join([bytes(piece) async for piece in pieces])

    async def _receive(self, message: Message) -> object:
        match message:
            case ask.BeginWrite():
                return await self._begin(message)
            case ask.WriteChunk(number, _, _, _):
                return await self._upload(number).write(message)
            case ask.KeepRange(number, _, _, _, _):
                return await self._upload(number).keep_range(message)
            case ask.FinishWrite(number, _, _, _):
                info = await self._upload(number).finish(message)
                self._uploads.pop(number, None)
                return info
            case ask.AbortWrite(number, _):
                if (doomed := self._uploads.get(number)) is not None:
                    await doomed.abort()
                    self._uploads.pop(number, None)  # not earlier: a cancelled abort may be retried
        return None

    async def _begin(self, message: ask.BeginWrite) -> object:
        if message.upload in self._uploads:
            raise InvalidRequest("invalid write", detail=f"upload {message.upload} has begun already")
        self._uploads[message.upload] = upload = UploadReceiver(self._backend, message)
        return await upload.begin()  # if it fails, `AbortWrite` follows

    def _upload(self, number: int) -> UploadReceiver:
        if number not in self._uploads:
            raise StorageFailure("the upload was lost", detail=f"no upload {number} here")
        return self._uploads[number]

    async def _next_page(self, wanted: ask.ListDir) -> Page:
        """Return a page, with the cursor of the listing if it continues. An error ends the listing."""
        if wanted.cursor is None:
            await self._forget_left_listings()
            cursor = next(self._cursors)
            self._listings[cursor] = PagedListing(self._backend.list_dir(wanted.place, wanted.session))
        else:
            cursor = wanted.cursor if isinstance(wanted.cursor, int) else 0
        listing = self._listings.get(cursor)
        if listing is None:
            raise StorageFailure("the listing was lost", detail=f"no cursor {cursor} here")
        entries = None
        try:
            entries = await listing.next_page()
        finally:
            if entries is None:
                await self._end_listing(cursor)
        return Page((), None) if entries is None else Page(entries, cursor)

    async def _end_listing(self, cursor: ask.Cursor) -> None:
        listing = self._listings.pop(cursor, None) if isinstance(cursor, int) else None
        if listing is not None:
            await listing.close()

    async def _forget_left_listings(self) -> None:
        """End the listings whose first page was on its way when its caller gave up, so that their cursor is
        unknown."""
        for cursor, listing in list(self._listings.items()):
            if listing.idle_seconds > _LEFT_SECONDS:
                await self._end_listing(cursor)


class PagedListing:
    """A directory listing that continues from message to message. Reads at most one page ahead.

    One task of its own iterates over the backend's listing, because a generator that enters a span or a
    timeout must leave it in the same task, and each message is answered in another task.
    """

    def __init__(self, pages: AsyncIterator[Sequence[Entry]]) -> None:
        self._coming: asyncio.Queue[Sequence[Entry] | Exception | None] = asyncio.Queue(1)
        self._task = asyncio.create_task(self._fill(pages))
        self._last_wanted = asyncio.get_running_loop().time()

    @property
    def idle_seconds(self) -> float:
        """Seconds since a page was last requested."""
        return asyncio.get_running_loop().time() - self._last_wanted

    async def next_page(self) -> Sequence[Entry] | None:
        """The next entries; None after the last. Raises what the backend raises."""
        self._last_wanted = asyncio.get_running_loop().time()
        page = await self._coming.get()
        if isinstance(page, Exception):
            raise page
        return page

    async def close(self) -> None:
        await cancel_and_wait(self._task)

    async def _fill(self, pages: AsyncIterator[Sequence[Entry]]) -> None:
        end: Exception | None = None
        try:
            async for page in pages:
                for at in range(0, len(page), PAGE_ENTRIES):
                    await self._coming.put(page[at : at + PAGE_ENTRIES])
        except Exception as error:
            end = error
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()
        await self._coming.put(end)
