"""A file that a client has open for reading: the state behind a handle."""

from __future__ import annotations

from s3sftp.backends import CompleteBackend, Place, Session
from s3sftp.backends.router import backend_at
from s3sftp.events.announcements import SILENT, Announcer
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.read.reader import AwaitedRange, Reader
from s3sftp.fs.transfer_book import TransferBook
from s3sftp.fs.transfer_record import FailureReason, TransferRecord
from s3sftp.telemetry.metric_catalogue import SENT_BYTES
from s3sftp.telemetry.metrics import Metrics

_SENT = SENT_BYTES.row()


class OpenReader:
    """A file open for reading: a `Reader` with its `TransferRecord` and metrics."""

    def __init__(
        self,
        place: Place,
        path: VirtualPath,
        reader: Reader,
        session: Session,
        backend: CompleteBackend,
        metrics: Metrics,
        book: TransferBook,
        announcer: Announcer = SILENT,
    ) -> None:
        self.place = place
        self.path = path
        self.info = reader.info
        self._reader = reader
        located = lambda: backend_at(backend, place).object_at(place)  # noqa: E731
        self._transfer = TransferRecord(
            "download",
            path,
            session,
            reader.costs,
            metrics,
            located,
            book,
            size=reader.info.size,
            announcer=announcer,
        )
        self._metrics = metrics
        self._failure: Exception | None = None
        # the methods of `Reader`; its requests and bytes are counted elsewhere
        self.expect = reader.expect
        self.forget = reader.forget
        self.listen = reader.listen

    def try_read(self, offset: int, length: int) -> list[memoryview] | None:
        """See `Reader.try_read`. Counts the bytes as sent."""
        try:
            return self._sent(self._reader.try_read(offset, length))
        except Exception as error:
            self._failure = error
            raise

    def collect(self, awaited: AwaitedRange) -> list[memoryview] | None:
        """See `Reader.collect`. Counts the bytes as sent."""
        try:
            return self._sent(self._reader.collect(awaited))
        except Exception as error:
            self._failure = error
            raise

    async def read(self, offset: int, length: int) -> list[memoryview]:
        """See `Reader.read`. For bytes that are not sent to the client."""
        try:
            views = await self._reader.read(offset, length)
        except Exception as error:
            self._failure = error
            raise
        self._transfer.bytes += sum(map(len, views))
        return views

    async def close(self) -> None:
        await self._reader.close()
        outcome = "read" if self._failure is None else "failed"
        self._transfer.end(outcome, size=self.info.size, error=self._failure)

    async def abort(self, why: FailureReason = FailureReason.CANCELLED) -> None:
        await self._reader.close()
        self._transfer.end("aborted", size=self.info.size, why=why)

    def _sent(self, views: list[memoryview] | None) -> list[memoryview] | None:
        if views:
            count = sum(map(len, views))
            self._transfer.bytes += count
            self._transfer.requests += 1
            self._metrics.add(_SENT, count)
        return views
