"""Somebody can always go on: what the byte budget decides, with any sizes and any order of events."""

from __future__ import annotations

from dataclasses import dataclass

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
        if self.ledger.try_take(upload, ask, self.now):
            upload.front += count
        else:
            upload.request = self.ledger.wait(upload, ask, self.now)
            self._serve()

    @rule(number=st.integers(0, 99), count=st.integers(1, 20))
    def write_ahead(self, number: int, count: int) -> None:
        """A WRITE behind the chunk, which comes before those that it waits for."""
        if (upload := self._free(number)) is not None and upload.missing:
            ask = upload.ask(count, behind=True)
            if self.ledger.try_take(upload, ask, self.now):
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


def test_somebody_can_always_go_on() -> None:
    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=200, stateful_step_count=50, deadline=None)
    )


def test_readers_leave_half_of_the_total_to_uploads() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_ahead(50)
    assert not ledger.try_ahead(1)
    ledger.need(500)  # what is asked for is there for a moment, and bounded elsewhere
    assert ledger.try_take("upload", SpaceRequest(10, 50), now=0)


def test_nothing_is_fetched_ahead_while_an_upload_waits() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_take("first", SpaceRequest(10, 60), now=0)
    ledger.wait("second", SpaceRequest(10, 60), now=0)
    assert not ledger.try_ahead(1)


def test_many_files_that_are_begun_leave_room_for_whole_chunks() -> None:
    ledger: BudgetLedger[int] = BudgetLedger(100)
    small = SpaceRequest(5, 20, small=True)
    assert [ledger.try_take(number, small, now=0) for number in range(9)] == [True] * 8 + [False]
    assert ledger.committed == 5 * 5 + 3 * 20


def test_room_that_is_given_back_goes_to_who_waits() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_take("first", SpaceRequest(100, 100), now=0)
    request = ledger.wait("second", SpaceRequest(10, 60), now=0)
    ledger.send("first", 100)
    assert ledger.serve(now=0) == []
    ledger.on_the_way -= 100
    assert ledger.serve(now=0) == [request]


def test_nobody_waits_for_very_long_because_of_those_that_need_less() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100)
    assert ledger.try_take("silent", SpaceRequest(90, 90), now=0)
    head = ledger.wait("beginner", SpaceRequest(10, 60), now=0)
    less = ledger.wait("nearly complete", SpaceRequest(20, 20, own=40), now=0)
    assert ledger.serve(now=0) == [less]
    ledger.end("nearly complete")
    ledger.wait("another", SpaceRequest(20, 20, own=40), now=1)
    assert ledger.serve(now=FILL_SECONDS + 1) == [head]


def test_who_takes_next_to_nothing_counts_as_silent() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(100 * 4096)
    assert ledger.try_take("slow", SpaceRequest(60 * 4096, 60 * 4096), now=0)
    ledger.wait("other", SpaceRequest(60 * 4096, 60 * 4096, own=-50 * 4096), now=0)
    ledger.tick(0)
    for second in range(1, 40):
        assert ledger.try_take("slow", SpaceRequest(1, 1, small=True), now=second)
        ledger.tick(second)
    assert ledger.standing_in_the_way(39, PAUSE) == ["slow"]


def test_of_those_that_are_ahead_of_a_gap_the_one_that_holds_most_is_refused() -> None:
    ledger: BudgetLedger[str] = BudgetLedger(16)
    assert ledger.try_take("holds all", SpaceRequest(16, 16, behind=True), 0)
    first = ledger.wait("holds nothing", SpaceRequest(1, 1, behind=True), 0)
    last = ledger.wait("holds all", SpaceRequest(1, 1, behind=True), 1)
    assert ledger.hopeless(PAUSE, PAUSE) is last
    ledger.queue.remove(last)
    ledger.end("holds all")
    assert ledger.serve(PAUSE) == [first]
