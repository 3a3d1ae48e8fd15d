"""A READ of a file that is open for reading. It runs without a task, because many are in flight at once."""

from __future__ import annotations

from s3sftp.fs import AwaitedRange, OpenReader
from s3sftp.sftp.codec import Answer, data_packet
from s3sftp.sftp.status import Status, status_packet


class ReadRequest:
    """A READ: `begin` starts it once the send buffer has room, `answer` is called whenever bytes arrive."""

    __slots__ = ("_expected", "_length", "_offset", "_request_id", "opened")

    def __init__(self, request_id: int, opened: OpenReader, offset: int, length: int) -> None:
        self.opened = opened
        self._request_id = request_id
        self._offset = offset
        self._length = length
        self._expected: AwaitedRange | None = None

    def begin(self) -> None:
        """Make sure that the requested bytes are being fetched."""
        self._expected = self.opened.expect(self._offset, self._length)

    def answer(self) -> Answer | None:
        """The answer, or None if bytes are still missing.

        Raises StorageError: if the bytes cannot be read. The READ has ended then.
        """
        views = self._collect()
        return None if views is None else data_answer(self._request_id, views, self._length)

    def _collect(self) -> list[memoryview] | None:
        if self._expected is None:
            views = self.opened.try_read(self._offset, self._length)
            if views is not None:
                return views
            self._expected = self.opened.expect(self._offset, self._length)
        return self.opened.collect(self._expected)

    def forget(self) -> None:
        """Give the READ up: its bytes are no longer needed."""
        if self._expected is not None:
            self.opened.forget(self._expected)


def data_answer(request_id: int, views: list[memoryview], length: int) -> Answer:
    """DATA, or EOF if a READ of `length` bytes, more than 0, found none."""
    if not any(views) and length:
        return status_packet(request_id, Status.EOF)
    return data_packet(request_id, views)
