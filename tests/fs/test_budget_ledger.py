"""Somebody can always go on: what the byte budget decides, with any sizes and any order of events."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from s3sftp.fs.budget_ledger import FILL_SECONDS, BudgetLedger, SpaceRequest, WaitingUpload

PAUSE = 30.0


@dataclass(eq=False)
class Upload:
    """A file whose chunks are put together, and what its client wants next."""

    chunk: int
    front: int = 0
    behind: int = 0
    """Bytes that wait for the one that is missing at `front`."""
    stored: int = 0
    request: WaitingUpload[Upload] | None = None

    @property
    def missing(self) -> int:
        """What the chunk needs; bytes behind the gap lie behind it too."""
        return self.chunk - self.front

    def ask(self, count: int, *, behind: bool = False, small: bool = False) -> SpaceRequest:
        if behind:
            return SpaceRequest(count, count, own=self.front, behind=True)
        return SpaceRequest(count, self.missing, own=self.front, small=small)


class LedgerMachine(RuleBasedStateMachine):
    """Any number of uploads, readers beside them, a storage that takes its time, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.uploads: list[Upload] = []
        self.storing: list[int] = []

    @initialize(total=st.integers(16, 400), chunks=st.lists(st.integers(1, 60), min_size=1, max_size=12))
    def begin(self, total: int, chunks: list[int]) -> None:
        self.ledger: BudgetLedger[Upload] = BudgetLedger(max(total, max(chunks)))
        self.most_chunk = max(chunks)
        self.uploads = [Upload(chunk) for chunk in chunks]

    # ── what clients do ─────────────────────────────────────────────────────────────────────────────

    def _free(self, number: int) -> Upload | None:
        upload = self.uploads[number % len(self.uploads)]
        return None if upload.request is not None else upload

    @rule(number=st.integers(0, 99), count=st.integers(1, 60), small=st.booleans())
    def write(self, number: int, count: int, small: bool) -> None:
        """A WRITE, or the part of it that this chunk takes: a full one goes first."""
        if (upload := self._free(number)) is not None:
            self._write(upload, count, small=small)

    def _write(self, upload: Upload, count: int, *, small: bool = False) -> None:
        if not upload.missing:
            self._send(upload)
        count = min(count, upload.missing)
        ask = upload.ask(count, small=small and not upload.stored)
        if self.ledger.try_acquire(upload, ask, self.now):
            upload.front += count
        else:
            upload.request = self.ledger.wait(upload, ask, self.now)
            self._serve()

    @rule(number=st.integers(0, 99), count=st.integers(1, 20))
    def write_ahead(self, number: int, count: int) -> None:
        """A WRITE behind the chunk, which comes before those that it waits for."""
        if (upload := self._free(number)) is not None and upload.missing:
            ask = upload.ask(count, behind=True)
            if self.ledger.try_acquire(upload, ask, self.now):
                upload.behind += count
            else:
                upload.request = self.ledger.wait(upload, ask, self.now)
                self._serve()

    @rule(number=st.integers(0, 99))
    def end(self, number: int) -> None:
        """CLOSE, or a client that has gone; another begins."""
        if (upload := self._free(number)) is not None:
            self.ledger.end(upload)
            self.uploads[self.uploads.index(upload)] = Upload(upload.chunk)
            self._serve()

    @rule(count=st.integers(1, 200))
    def read_ahead(self, count: int) -> None:
        self.ledger.try_ahead(count)

    @rule(count=st.integers(1, 200))
    def read(self, count: int) -> None:
        """Readers take what they need in any case."""
        self.ledger.need(count)

    @rule()
    def deliver(self) -> None:
        self.ledger.ahead = self.ledger.needed = 0
        self._serve()

    # ── what happens by itself ──────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.storing)
    @rule(number=st.integers(0, 99))
    def store(self, number: int) -> None:
        self.ledger.on_the_way -= self.storing.pop(number % len(self.storing))
        self._serve()

    @rule(seconds=st.sampled_from([0.5, FILL_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        self._let_pass(seconds)
        self._end_paused() or self._end_hopeless()

    def _let_pass(self, seconds: float) -> None:
        self.now += seconds
        for upload in self.ledger.tick(self.now):
            if not upload.missing and upload.request is None:
                self._send(upload)
        self._serve()

    def _send(self, upload: Upload) -> None:
        self.ledger.send(upload, upload.front)
        self.storing.append(upload.front)
        upload.stored += upload.front
        upload.front = min(upload.behind, upload.chunk)
        upload.behind -= upload.front

    def _serve(self) -> None:
        for request in self.ledger.serve(self.now):
            upload = request.owner
            assert upload.request is request
            upload.request = None
            if request.ask.behind:
                upload.behind += request.ask.count
            else:
                upload.front += request.ask.count

    # ── what is always true ─────────────────────────────────────────────────────────────────────────

    @invariant()
    def counts_are_right(self) -> None:
        if self.uploads:
            held = sum(upload.front + upload.behind for upload in self.uploads)
            storing = sum(self.storing)
            assert self.ledger.used - self.ledger.ahead - self.ledger.needed == held + storing
            assert self.ledger.committed >= self.ledger.used - self.ledger.needed

    @invariant()
    def memory_is_bounded(self) -> None:
        """The total, one chunk, and what readers need."""
        if self.uploads:
            assert self.ledger.used - self.ledger.needed <= self.ledger.total + self.most_chunk
            assert self.ledger.ahead <= self.ledger.total // 2

    @invariant()
    def somebody_can_go_on(self) -> None:
        """When nothing is on its way, there is an upload that can complete its chunk whatever others do."""
        if not self.uploads or self.storing:
            return
        beside = self.ledger.used - self.ledger.needed
        assert any(beside + each.missing <= self.ledger.total + each.chunk for each in self.uploads)

    def teardown(self) -> None:
        """However it stands, all clients that go on get three chunks stored. Those that do nothing are in
        their way for `PAUSE` at most; only what is too far ahead of a gap may be refused."""
        if not self.uploads:
            return
        left = self.uploads[: len(self.uploads) // 2 + 1]
        goal = {id(each): each.stored + 3 * each.chunk for each in left}
        for _ in range(2000):
            if not left:
                return
            for each in left:
                if each.request is None:
                    self._write(each, 7)
            if self.storing:
                self.store(0)
            elif all(each.request is not None for each in left):
                self._pass_time(left)
            left = [each for each in left if each.stored < goal[id(each)]]
        raise AssertionError("nobody goes on")

    def _pass_time(self, left: list[Upload]) -> None:
        self._let_pass(1.0)
        if (paused := self._end_paused()) is not None:
            assert paused not in left
        elif (hopeless := self._end_hopeless()) in left:
            left.remove(hopeless)
        assert not self.ledger.in_vain(self.now, 2 * PAUSE)

    def _end_paused(self) -> Upload | None:
        """As the budget does each second: end an upload that takes nothing while others wait."""
        owners = self.ledger.standing_in_the_way(self.now, PAUSE)
        if not owners:
            return None
        self._give_up(owners[0])
        return owners[0]

    def _end_hopeless(self) -> Upload | None:
        """And if there is none: refuse bytes that are too far ahead of a gap."""
        request = self.ledger.hopeless(self.now, PAUSE)
        if request is None:
            return None
        assert request.ask.behind
        self.ledger.queue.remove(request)
        request.owner.request = None
        self._give_up(request.owner)
        return request.owner

    def _give_up(self, upload: Upload) -> None:
        self.ledger.end(upload)
        upload.front = upload.behind = 0
        self._serve()


@pytest.mark.slow
@pytest.mark.hypothesis
def test_somebody_can_always_go_on() -> None:
    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=200, stateful_step_count=50, deadline=None)
    )


def test_readers_leave_half_of_the_total_to_uploads() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_ahead(50)
    assert not ledger.try_ahead(1)
    ledger.need(500)  # what is asked for is there for a moment, and bounded elsewhere
    assert ledger.try_acquire("upload", SpaceRequest(10, 50), now=0)


def test_nothing_is_fetched_ahead_while_an_upload_waits() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("first", SpaceRequest(10, 60), now=0)
    ledger.wait("second", SpaceRequest(10, 60), now=0)
    assert not ledger.try_ahead(1)


def test_many_files_that_are_begun_leave_room_for_whole_chunks() -> None:
    ledger: BudgetLedger[int] = BudgetLedger(100)
    small = SpaceRequest(5, 20, small=True)
    assert [ledger.try_acquire(number, small, now=0) for number in range(9)] == [True] * 8 + [False]
    assert ledger.committed == 5 * 5 + 3 * 20


def test_room_that_is_given_back_goes_to_who_waits() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("first", SpaceRequest(100, 100), now=0)
    request = ledger.wait("second", SpaceRequest(10, 60), now=0)
    ledger.send("first", 100)
    assert ledger.serve(now=0) == []
    ledger.on_the_way -= 100
    assert ledger.serve(now=0) == [request]


def test_nobody_waits_for_very_long_because_of_those_that_need_less() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("silent", SpaceRequest(90, 90), now=0)
    head = ledger.wait("beginner", SpaceRequest(10, 60), now=0)
    less = ledger.wait("nearly complete", SpaceRequest(20, 20, own=40), now=0)
    assert ledger.serve(now=0) == [less]
    ledger.end("nearly complete")
    ledger.wait("another", SpaceRequest(20, 20, own=40), now=1)
    assert ledger.serve(now=FILL_SECONDS + 1) == [head]


def test_who_takes_next_to_nothing_counts_as_silent() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100 * 4096)
    assert ledger.try_acquire("slow", SpaceRequest(60 * 4096, 60 * 4096), now=0)
    ledger.wait("other", SpaceRequest(60 * 4096, 60 * 4096, own=-50 * 4096), now=0)
    ledger.tick(0)
    for second in range(1, 40):
        assert ledger.try_acquire("slow", SpaceRequest(1, 1, small=True), now=second)
        ledger.tick(second)
    assert ledger.standing_in_the_way(39, PAUSE) == ["slow"]


def test_of_those_that_are_ahead_of_a_gap_the_one_that_holds_most_is_refused() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(16)
    assert ledger.try_acquire("holds all", SpaceRequest(16, 16, behind=True), 0)
    first = ledger.wait("holds nothing", SpaceRequest(1, 1, behind=True), 0)
    last = ledger.wait("holds all", SpaceRequest(1, 1, behind=True), 1)
    assert ledger.hopeless(PAUSE, PAUSE) is last
    ledger.queue.remove(last)
    ledger.end("holds all")
    assert ledger.serve(PAUSE) == [first]


def test_a_reservation_may_be_used_up_exactly_and_not_beyond_however_full_it_is() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("first", SpaceRequest(10, 60), now=0)
    assert ledger.try_acquire("second", SpaceRequest(40, 40), now=0)
    ledger.wait("third", SpaceRequest(1, 50), now=0)
    assert ledger.try_acquire("first", SpaceRequest(50, 50), now=0)
    assert not ledger.try_acquire("first", SpaceRequest(1, 60), now=0)
    assert ledger.used == ledger.committed == 100


# ── the borders of each rule ────────────────────────────────────────────────────────────────────────


def ledger_of(total: int = 100, **taken: int) -> BudgetLedger[str]:
    """A ledger in which these have taken whole chunks at the time 0."""
    ledger: BudgetLedger[str] = BudgetLedger(total)
    for owner, count in taken.items():
        assert ledger.try_acquire(owner, SpaceRequest(count, count), now=0)
    return ledger


def test_readers_go_ahead_as_far_as_uploads_and_other_readers_leave_room() -> None:
    ledger = ledger_of(a=50)
    ledger.need(4)
    ledger.need(6)
    assert not ledger.try_ahead(41)
    assert ledger.try_ahead(30)
    assert ledger.try_ahead(10)
    assert (ledger.used, ledger.ahead, ledger.needed) == (100, 40, 10)


def test_the_peak_is_the_most_that_ever_was_in_memory() -> None:
    assert BudgetLedger(100).peak == 0
    ledger = ledger_of(a=60)
    ledger.send("a", 60)
    ledger.need(30)
    ledger.needed = 0
    ledger.on_the_way -= 60
    assert ledger.try_ahead(20)
    assert (ledger.used, ledger.peak) == (20, 90)


def test_a_chunk_that_needs_more_than_was_reserved_needs_room_beside_the_others_alone() -> None:
    ledger = ledger_of(other=20)
    assert ledger.try_acquire("a", SpaceRequest(10, 60), now=0)
    assert not ledger.try_acquire("a", SpaceRequest(60, 81), now=0)
    assert ledger.try_acquire("a", SpaceRequest(60, 70), now=0)
    assert (ledger.used, ledger.committed) == (90, 100)
    assert ledger.try_acquire("a", SpaceRequest(10, 10), now=0)
    assert (ledger.used, ledger.committed) == (100, 100)


def test_bytes_behind_the_chunk_take_nothing_of_its_reservation() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("a", SpaceRequest(10, 60), now=0)
    assert not ledger.try_acquire("a", SpaceRequest(41, 41, behind=True), now=0)
    assert ledger.try_acquire("a", SpaceRequest(40, 10, behind=True), now=0)
    assert (ledger.used, ledger.committed) == (50, 100)


def test_small_files_together_take_a_quarter_without_a_reservation() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("a", SpaceRequest(25, 50, small=True), now=0)
    assert ledger.committed == 25
    assert ledger.try_acquire("b", SpaceRequest(1, 50, small=True), now=0)
    assert ledger.committed == 75, "with one"


def test_small_files_take_the_last_bytes_that_there_are() -> None:
    ledger = ledger_of(a=90)
    assert ledger.try_acquire("b", SpaceRequest(10, 50, small=True), now=0)
    assert not ledger.try_acquire("c", SpaceRequest(1, 50, small=True), now=0)


def test_a_file_that_is_not_small_any_more_or_gives_bytes_back_leaves_room_for_other_small_ones() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("a", SpaceRequest(20, 40, small=True), now=0)
    ledger.release("a", 5)
    assert ledger.try_acquire("b", SpaceRequest(10, 90, small=True), now=0)
    assert not ledger.try_acquire("c", SpaceRequest(1, 90, small=True), now=0)
    assert ledger.try_acquire("a", SpaceRequest(5, 20), now=0)
    assert ledger.committed == 15 + 10 + 20
    assert ledger.try_acquire("c", SpaceRequest(15, 90, small=True), now=0)


def test_a_small_file_that_took_bytes_twice_gives_all_of_them_back() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    for _ in range(2):
        assert ledger.try_acquire("a", SpaceRequest(10, 50, small=True), now=0)
    ledger.end("a")
    assert ledger.try_acquire("b", SpaceRequest(25, 90, small=True), now=0)
    assert ledger.committed == 25


def test_a_file_that_is_not_small_any_more_leaves_the_room_of_small_ones_once() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("a", SpaceRequest(10, 50, small=True), now=0)
    assert ledger.try_acquire("a", SpaceRequest(10, 20), now=0)
    ledger.end("a")
    assert ledger.try_acquire("b", SpaceRequest(26, 60, small=True), now=0)
    assert ledger.committed == 60, "with a reservation"


def test_a_small_file_that_waited_has_no_reservation_either() -> None:
    ledger = ledger_of(a=100)
    request = ledger.wait("b", SpaceRequest(10, 60, small=True), now=0)
    ledger.end("a")
    assert ledger.serve(now=1) == [request]
    assert (ledger.used, ledger.committed) == (10, 10)


def test_what_has_ended_leaves_nothing_behind() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("a", SpaceRequest(10, 50, small=True), now=0)
    assert ledger.try_acquire("b", SpaceRequest(10, 60), now=0)
    for owner in ("a", "b", "b", "nobody"):
        ledger.end(owner)
    ledger.release("nobody", 5)
    assert (ledger.used, ledger.committed) == (0, 0)
    assert ledger.try_acquire("c", SpaceRequest(25, 90, small=True), now=0)


def test_a_reservation_lasts_ten_seconds() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_acquire("a", SpaceRequest(10, 60), now=3)
    ledger.tick(13)
    assert ledger.committed == 60
    ledger.tick(13.5)
    assert ledger.committed == ledger.used == 10
    assert ledger.try_acquire("other", SpaceRequest(90, 90), now=14)
    assert not ledger.try_acquire("a", SpaceRequest(1, 50), now=14)


def test_who_holds_bytes_and_takes_none_is_silent() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100 * 4096 + 2048)
    assert ledger.try_acquire("a", SpaceRequest(1000, 5000), now=0)
    assert ledger.try_acquire("b", SpaceRequest(1000, 1000), now=0)
    assert ledger.tick(0) == []
    ledger.send("b", 1000)
    assert ledger.tick(1) == ["a"]
    assert ledger.try_acquire("a", SpaceRequest(99, 99), now=1)
    assert ledger.tick(2) == ["a"]
    assert ledger.try_acquire("a", SpaceRequest(1, 1), now=2)
    assert ledger.tick(3) == []
    assert ledger.tick(4) == ["a"]


def test_a_single_byte_counts_where_the_total_is_small() -> None:
    ledger = ledger_of(a=10)
    ledger.tick(0)
    assert ledger.tick(1) == ["a"]
    assert ledger.try_acquire("a", SpaceRequest(1, 1), now=1)
    assert ledger.tick(2) == []


def test_those_in_the_way_are_named_by_how_long_they_have_taken_nothing() -> None:
    ledger = ledger_of(a=40, b=40, waits=10)
    ledger.tick(0)
    assert ledger.try_acquire("a", SpaceRequest(1, 1), now=5)
    ledger.tick(5)
    ledger.wait("waits", SpaceRequest(30, 30, own=-100), now=0)
    assert ledger.serve(now=29) == []
    assert [ledger.standing_in_the_way(now, PAUSE) for now in (29.5, 30, 34.5, 35)] == [
        [],
        ["b"],
        ["b"],
        ["b", "a"],
    ]
    ledger.on_the_way += 1
    assert ledger.standing_in_the_way(35, PAUSE) == [], "what is on its way makes room"
    ledger.on_the_way -= 1
    ledger.send("b", 40)
    ledger.on_the_way -= 40
    assert ledger.standing_in_the_way(35, PAUSE) == ["a"]


def test_nobody_is_in_the_way_while_somebody_may_complete_a_chunk() -> None:
    ledger = ledger_of(a=60)
    assert ledger.try_acquire("b", SpaceRequest(10, 30), now=0)
    ledger.wait("c", SpaceRequest(30, 30, own=-100), now=0)
    ledger.tick(0)
    assert ledger.standing_in_the_way(40, PAUSE) == []
    ledger.wait("b", SpaceRequest(1, 20), now=0)  # who waits completes nothing
    assert ledger.standing_in_the_way(40, PAUSE) == ["a"]


def test_who_is_too_far_ahead_of_a_gap_is_hopeless_after_the_time() -> None:
    ledger = ledger_of(a=90)
    ledger.wait("b", SpaceRequest(20, 20, own=-100), now=0)
    assert ledger.hopeless(30, PAUSE) is None
    request = ledger.wait("c", SpaceRequest(20, 20, behind=True), now=0)
    assert ledger.hopeless(29.5, PAUSE) is None
    assert ledger.hopeless(30, PAUSE) is request


def test_who_waits_in_vain_is_named_unless_anybody_was_served_meanwhile() -> None:
    ledger = ledger_of(a=100)
    first = ledger.wait("b", SpaceRequest(50, 50, own=-100), now=0)
    second = ledger.wait("c", SpaceRequest(90, 90, own=-100), now=10)
    assert [ledger.in_vain(now, 60) for now in (59.5, 60, 70)] == [[], [first], [first, second]]
    ledger.end("a")
    assert ledger.serve(now=20) == [first]
    assert [ledger.in_vain(now, 60) for now in (79.5, 80)] == [[], [second]]


@pytest.mark.parametrize(
    ("ask", "is_served"),
    [
        (SpaceRequest(30, 30, own=-2), True),
        (SpaceRequest(30, 30, own=-3), False),
        (SpaceRequest(5, 5, own=3, behind=True), True),
        (SpaceRequest(5, 5, own=2, behind=True), False),
    ],
)
def test_as_a_last_resort_all_but_the_chunk_of_one_must_be_within_the_total(
    ask: SpaceRequest, is_served: bool
) -> None:
    ledger = ledger_of(a=98)
    request = ledger.wait("b", ask, now=0)
    assert ledger.serve(now=0) == ([request] if is_served else [])


def test_who_fits_is_served_also_while_chunks_are_on_their_way() -> None:
    ledger = ledger_of(a=60)
    assert ledger.try_acquire("b", SpaceRequest(10, 40), now=0)
    request = ledger.wait("b", SpaceRequest(31, 31), now=0)
    ledger.release("a", 2)
    ledger.on_the_way = 2
    assert ledger.serve(now=0) == []
    ledger.on_the_way = 1
    assert ledger.serve(now=0) == [request], "in the place of what it had reserved"
    assert ledger.committed == 100


def test_what_who_waits_has_reserved_does_not_stand_in_its_own_way() -> None:
    ledger = ledger_of(a=60)
    assert ledger.try_acquire("b", SpaceRequest(10, 40), now=0)
    assert ledger.committed == 100
    request = ledger.wait("b", SpaceRequest(31, 31, own=-1), now=0)
    assert ledger.serve(now=0) == [request]
    assert ledger.committed == 101


def test_who_exceeds_the_total_is_the_only_one_until_it_has_sent_or_ended_or_fallen_silent() -> None:
    for how in ("sent", "ended", "silent"):
        ledger = ledger_of(a=90)
        one = ledger.wait("one", SpaceRequest(20, 20, own=40), now=5)
        assert ledger.serve(now=5) == [one]
        ledger.tick(5)
        other = ledger.wait("other", SpaceRequest(20, 20, own=60), now=5)
        assert ledger.serve(now=6) == []
        if how == "sent":
            ledger.send("one", 20)
            assert ledger.serve(now=6) == []
            ledger.on_the_way = 0
        elif how == "ended":
            ledger.end("one")
        else:
            ledger.tick(15)
            assert ledger.serve(now=15) == []
            ledger.tick(15.5)
        assert ledger.serve(now=15.5) == [other]


def test_who_exceeds_the_total_already_is_served_before_others_that_need_less() -> None:
    ledger = ledger_of(a=90)
    one = ledger.wait("one", SpaceRequest(20, 30, own=30), now=0)
    assert ledger.serve(now=0) == [one]
    ledger.tick(20)  # what it had reserved is lost
    less = ledger.wait("less", SpaceRequest(5, 5, own=90), now=0)
    more = ledger.wait("one", SpaceRequest(10, 10, own=50), now=0)
    assert ledger.serve(now=20) == [more]
    assert less in ledger.queue


def test_of_those_that_may_exceed_the_total_the_first_is_served_after_ten_seconds() -> None:
    for now, served in ((15, "less"), (15.5, "first")):
        ledger = ledger_of(a=90)
        ledger.wait("first", SpaceRequest(10, 60), now=5)
        ledger.wait("less", SpaceRequest(20, 20, own=40), now=5)
        assert [request.owner for request in ledger.serve(now=now)] == [served]
