"""What the book of transfers says."""

from __future__ import annotations

from dataclasses import replace

from s3sftp.fs.transfer_book import MAX_RECENT, MAX_USERS, OTHER_USERS, TransferBook, TransferSummary
from s3sftp.telemetry import Costs, charging
from s3sftp.telemetry.costs import charge

_DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 10 * _DAY

    def __call__(self) -> float:
        return self.now


class Moving:
    """A transfer that has moved so many bytes."""

    def __init__(self, book: TransferBook, user: str = "alice", direction: str = "upload") -> None:
        self.bytes = 0
        self._book = book
        self._user, self._direction = user, direction
        self.id = book.begin("s.1", self)

    def summary(self) -> TransferSummary:
        return TransferSummary(
            self.id, "s.1", self._user, "peer", self._direction, "/f", self.bytes, None, 1.0
        )

    def end(self, state: str = "committed") -> None:
        self._book.end(replace(self.summary(), state=state))


def test_what_is_under_way_counts_for_the_session_and_the_day_and_only_once_when_it_has_ended() -> None:
    book = TransferBook(Clock())
    book.open_session("s.1")
    moving = Moving(book)
    moving.bytes = 7
    for _ in range(2):
        assert book.traffic(["s.1", "gone"])["s.1"].bytes_in == 7
        (day,) = book.days()
        assert (day.bytes_in, day.bytes_out) == (7, 0)
        moving.end()
    assert book.days()[0].files_in == 1
    assert list(book.live()) == []


def test_a_file_that_was_not_stored_is_no_file_of_the_day() -> None:
    book = TransferBook(Clock())
    Moving(book).end("aborted")
    assert (book.days()[0].files_in, next(book.recent()).state) == (0, "aborted")


def test_the_day_begins_anew_at_midnight() -> None:
    clock = Clock()
    book = TransferBook(clock)
    Moving(book).end()
    clock.now += _DAY
    assert book.days() == []
    assert len(list(book.recent())) == 1


def test_recent_transfers_and_users_of_a_day_are_bounded() -> None:
    book = TransferBook(Clock())
    for number in range(MAX_USERS + 5):
        Moving(book, f"user{number}").end()
    assert len(list(book.recent())) == MAX_RECENT
    days = {day.user: day.files_in for day in book.days()}
    assert len(days) == MAX_USERS + 1
    assert days[OTHER_USERS] == 5


def test_a_request_is_charged_to_the_user_once_however_many_accounts_are_open() -> None:
    book = TransferBook(Clock())
    with (
        charging(Costs(owner=book.account_of("alice"))) as request,
        charging(Costs(owner=book.account_of("alice"))) as transfer,
    ):
        charge("PutObject")
    assert request.total() == transfer.total() == book.account_of("alice").total() == 1
    (day,) = book.days()
    assert (day.s3_requests, day.s3_dollars) == (1, 0.005 / 1000)
