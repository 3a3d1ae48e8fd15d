"""How many connections there may be, and who is next, decided without a socket."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from s3sftp.ssh import SshOptions
from s3sftp.ssh.admission import MADE_ROOM, WAITED, Admission, AdmissionStage, Refusal, TrackedConnection

LIMITS = SshOptions(
    max_unauthenticated=4,
    max_unauthenticated_per_source=2,
    max_queued=3,
    max_connections=12,
    max_connections_per_user=3,
)


class Gate:
    """An admission, and whom it has dismissed."""

    def __init__(self, limits: SshOptions = LIMITS) -> None:
        self.dismissed: list[TrackedConnection] = []
        self.reasons: list[Refusal] = []
        self.admission = Admission(limits, self._dismiss)

    def _dismiss(self, ticket: TrackedConnection, reason: Refusal) -> None:
        self.dismissed.append(ticket)
        self.reasons.append(reason)

    def come(
        self, source: str, now: float = 0, *, speaks: bool = False, is_shared: bool = False
    ) -> TrackedConnection:
        """A connection that is not refused. `speaks`: it sends something at once."""
        answer = self.admission.arrive(source, now, is_shared=is_shared)
        assert isinstance(answer, TrackedConnection)
        answer.has_spoken = speaks
        return answer

    def logging_in(self, source: str, now: float = 0) -> TrackedConnection:
        ticket = self.come(source, now, speaks=True)
        assert ticket.stage is AdmissionStage.ENTERING
        return ticket


def test_those_that_come_too_many_at_once_of_one_source_wait_and_others_do_not() -> None:
    gate = Gate()
    first, _second = gate.logging_in("a"), gate.logging_in("a")
    third, fourth = gate.come("a"), gate.come("a")
    assert third.stage is fourth.stage is AdmissionStage.QUEUED
    gate.admission.leave(first)
    assert gate.admission.next(0.1) is third
    assert gate.admission.next(0.1) is None
    assert gate.come("b").stage is AdmissionStage.ENTERING


def test_nobody_who_comes_later_takes_the_place_of_one_that_waits() -> None:
    gate = Gate()
    first, *_ = [gate.logging_in(source) for source in "abcd"]
    waiting = gate.come("a")
    gate.admission.leave(first)
    assert gate.come("e").stage is AdmissionStage.QUEUED
    assert gate.admission.next(0) is not None
    assert waiting.stage is not AdmissionStage.GONE


def test_a_place_goes_to_the_source_that_holds_the_fewest_and_then_to_the_one_that_came_first() -> None:
    gate = Gate()
    first, *_ = [gate.logging_in(source) for source in "aabc"]
    _again, of_b, of_d = gate.come("a"), gate.come("b"), gate.come("d")
    gate.admission.leave(first)
    assert gate.admission.next(0) is of_d
    gate.admission.leave(of_d)
    # a and b hold one place each, and `a` came first; b is next when a has two
    assert gate.admission.next(0) is _again
    gate.admission.leave(_again)
    assert gate.admission.next(0) is of_b


def test_of_one_source_those_that_have_sent_something_come_first() -> None:
    gate = Gate()
    first, _ = gate.logging_in("a"), gate.logging_in("a")
    gate.come("a")
    speaking = gate.come("a", speaks=True)
    gate.admission.leave(first)
    assert gate.admission.next(0) is speaking


def test_silent_ones_make_room_for_one_of_their_source_that_is_not_silent() -> None:
    gate = Gate()
    silent, _ = gate.come("a"), gate.come("a")
    quiet, login = gate.come("a"), gate.come("a", speaks=True)
    assert gate.admission.next(0.9) is None
    assert gate.admission.next(1.0) is login
    assert gate.dismissed == [silent]
    assert gate.admission.next(1.0) is None, "silence makes no room for silence"
    assert quiet.stage is AdmissionStage.QUEUED


def test_who_is_logging_in_keeps_their_place_when_more_of_the_same_source_wait() -> None:
    gate = Gate()
    gate.logging_in("a")
    gate.logging_in("a")
    gate.come("a", speaks=True)
    assert gate.admission.next(20) is None
    assert gate.dismissed == []


def test_when_all_places_are_taken_the_oldest_makes_room_only_when_it_has_had_its_time() -> None:
    gate = Gate()
    oldest, *_ = [gate.logging_in(str(n), n / 10) for n in range(4)]
    waiting = gate.come("x", 3, speaks=True)
    assert gate.admission.next(4.9) is None
    assert gate.admission.next(5.0) is waiting
    assert gate.dismissed == [oldest]
    assert gate.admission.entering == 4


def test_when_all_places_are_taken_the_oldest_silent_one_makes_room_for_one_that_is_not_silent() -> None:
    gate = Gate()
    speaking = gate.logging_in("a")
    silent, *_ = [gate.come(source, n / 10) for n, source in enumerate("bcd")]
    quiet, login = gate.come("x", 0.2), gate.come("y", 0.2, speaks=True)
    assert gate.admission.next(0.9) is None
    assert gate.admission.next(1.0) is login
    assert gate.dismissed == [silent]
    assert speaking.stage is AdmissionStage.ENTERING
    assert quiet.stage is AdmissionStage.QUEUED


def test_when_all_places_are_taken_a_source_with_several_makes_room_for_one_that_has_none() -> None:
    gate = Gate()
    greedy, *_ = [gate.logging_in(source) for source in "abac"]
    waiting = gate.come("d", 1, speaks=True)
    assert gate.admission.next(1.4) is None, "ordinary logins make room by themselves"
    assert gate.admission.next(1.5) is waiting
    assert gate.dismissed == [greedy]
    gate.come("d", 1.5)
    assert gate.admission.next(2.5) is None


def test_a_source_with_several_keeps_them_for_a_second() -> None:
    gate = Gate()
    greedy, *_ = [gate.logging_in(source, 10) for source in "abac"]
    waiting = gate.come("d", 10, speaks=True)
    assert gate.admission.next(10.9) is None
    assert gate.admission.next(11) is waiting
    assert gate.dismissed == [greedy]
    assert greedy.stage is AdmissionStage.GONE


def test_a_source_that_stands_for_many_clients_has_no_limit_of_its_own() -> None:
    gate = Gate()
    tickets = [gate.come("balancer", is_shared=True) for _ in range(4)]
    assert {ticket.stage for ticket in tickets} == {AdmissionStage.ENTERING}


def test_who_waits_for_as_long_as_a_login_may_take_is_dismissed() -> None:
    gate = Gate()
    for _ in range(2):
        gate.logging_in("a")
    waiting = gate.come("a", 1)
    gate.admission.give_up(30.9)
    assert waiting.stage is AdmissionStage.QUEUED
    gate.admission.give_up(31)
    assert gate.dismissed == [waiting]
    assert gate.reasons == [WAITED]
    assert gate.admission.total == 2


def test_a_full_queue_drops_what_is_silent_then_the_latest_of_the_source_that_has_the_most() -> None:
    gate = Gate()
    for _ in range(2):
        gate.logging_in("a")
    silent, second, third = gate.come("a"), gate.come("a", speaks=True), gate.come("a", speaks=True)
    assert gate.admission.arrive("a", 0.5) == Refusal("too many connections wait to log in")
    assert gate.come("a", 1, speaks=True).stage is AdmissionStage.QUEUED
    assert gate.dismissed == [silent]
    latest = next(reversed(gate.admission._queue))
    for _ in range(2):
        gate.logging_in("b", 1)
    assert gate.come("b", 1).stage is AdmissionStage.QUEUED
    assert gate.dismissed == [silent, latest]
    assert gate.reasons == [MADE_ROOM, MADE_ROOM]
    assert second.stage is third.stage is AdmissionStage.QUEUED


def test_a_full_queue_takes_one_more_only_of_a_source_that_would_have_fewer_than_another() -> None:
    gate = Gate()
    for source in "aazz":
        gate.logging_in(source)
    _first, second, _of_z = [gate.come(source, speaks=True) for source in "aaz"]
    assert gate.admission.arrive("z", 0) == Refusal("too many connections wait to log in")
    assert gate.dismissed == []
    assert gate.come("b").stage is AdmissionStage.QUEUED
    assert gate.dismissed == [second]


def test_when_there_are_too_many_connections_and_nobody_waits_the_next_one_is_refused() -> None:
    gate = Gate(LIMITS.model_copy(update={"max_connections": 2, "max_connections_per_user": 1}))
    for user in "xy":
        assert gate.admission.log_in(gate.logging_in("a"), user) is None
    assert gate.admission.arrive("b", 20) == Refusal("too many connections")
    assert gate.admission.total == 2


def test_of_several_for_whom_the_oldest_would_make_room_one_that_has_spoken_comes_first() -> None:
    gate = Gate()
    oldest, *_ = [gate.logging_in(source, 10) for source in "abcd"]
    quiet, login, _late = [gate.come(source, 10, speaks=source != "x") for source in "xyz"]
    assert gate.admission.next(14.5) is None
    assert gate.admission.next(15) is login
    assert gate.dismissed == [oldest]
    assert gate.reasons == [MADE_ROOM]
    assert quiet.stage is AdmissionStage.QUEUED


def test_a_login_makes_room_and_counts_for_its_user() -> None:
    gate = Gate()
    for n in range(3):
        assert gate.admission.log_in(gate.logging_in(str(n)), "alice") is None
    assert gate.admission.entering == 0
    fourth = gate.logging_in("9")
    assert gate.admission.log_in(fourth, "alice") == Refusal("too many connections of this user")
    assert gate.admission.log_in(fourth, "bob") is None


def test_a_user_of_whom_one_connection_leaves_may_have_one_more() -> None:
    gate = Gate()
    first, second, _third = [gate.logging_in(str(n)) for n in range(3)]
    for ticket in (first, second, _third):
        assert gate.admission.log_in(ticket, "alice") is None
    gate.admission.leave(first)
    gate.admission.leave(first)
    assert gate.admission.log_in(gate.logging_in("4"), "alice") is None
    one_more = gate.logging_in("5")
    assert gate.admission.log_in(one_more, "alice") == Refusal("too many connections of this user")
    gate.admission.leave(second)
    assert gate.admission.log_in(one_more, "alice") is None
    assert gate.admission.total == 3


def test_where_a_source_may_have_one_place_its_others_wait_for_that_one() -> None:
    gate = Gate(LIMITS.model_copy(update={"max_unauthenticated_per_source": 1}))
    first = gate.logging_in("a")
    second, third = gate.come("a", speaks=True), gate.come("a", speaks=True)
    assert gate.admission.next(20) is None
    assert gate.come("b").stage is AdmissionStage.ENTERING
    gate.admission.leave(first)
    assert gate.admission.next(20) is second
    assert gate.admission.next(20) is None
    assert gate.admission.log_in(second, "alice") is None
    assert gate.admission.next(20) is third


def test_who_was_dismissed_cannot_log_in_any_more() -> None:
    gate = Gate()
    silent = gate.come("a")
    gate.come("a")
    gate.come("a", speaks=True)
    gate.admission.next(1)
    assert gate.admission.log_in(silent, "alice") == Refusal("made room for others before login")
    gate.admission.leave(silent)
    assert gate.admission.total == 2


def test_a_source_has_so_many_connections_and_others_and_shared_ones_are_unaffected() -> None:
    gate = Gate(LIMITS.model_copy(update={"max_connections_per_source": 2}))
    first = gate.logging_in("a")
    assert gate.admission.log_in(first, "alice") is None
    gate.come("a")
    assert gate.admission.arrive("a", 1) == Refusal("too many connections of this source")
    gate.come("b")
    for _ in range(3):
        gate.come("nat", is_shared=True)
    gate.admission.leave(first)
    gate.admission.leave(first)
    gate.come("a")
    assert gate.admission.arrive("a", 1) == Refusal("too many connections of this source")


def test_a_user_has_so_many_sessions_over_all_connections() -> None:
    gate = Gate()
    first, second = gate.logging_in("a"), gate.logging_in("b")
    for ticket in (first, second):
        assert gate.admission.log_in(ticket, "alice") is None
    assert [gate.admission.open_session(ticket, 3) for ticket in (first, first, second)] == [None] * 3
    assert gate.admission.open_session(second, 3) == Refusal("too many sessions of this user")
    assert gate.admission.open_session(second, 0) is None
    gate.admission.leave(first)
    gate.admission.close_session(first)
    assert gate.admission.open_session(second, 3) is None
    assert gate.admission.open_session(second, 3) == Refusal("too many sessions of this user")
    assert gate.admission.open_session(gate.logging_in("c"), 3) is not None


def test_a_session_that_closes_makes_place_for_one_more_and_one_that_never_was_does_not() -> None:
    gate = Gate()
    first, second = gate.logging_in("a"), gate.logging_in("b")
    for ticket in (first, second):
        assert gate.admission.log_in(ticket, "alice") is None
        gate.admission.close_session(ticket)
    assert [gate.admission.open_session(ticket, 3) for ticket in (first, first, second)] == [None] * 3
    gate.admission.close_session(first)
    assert first.sessions == 1
    assert gate.admission.open_session(first, 3) is None
    assert gate.admission.open_session(first, 3) == Refusal("too many sessions of this user")
    gate.admission.close_session(first)
    gate.admission.leave(first)
    assert [gate.admission.open_session(second, 3) for _ in range(2)] == [None] * 2
    assert gate.admission.open_session(second, 3) == Refusal("too many sessions of this user")


def test_a_user_and_a_source_may_be_limited_to_one() -> None:
    gate = Gate(LIMITS.model_copy(update={"max_connections_per_source": 1}))
    ticket = gate.logging_in("a")
    assert gate.admission.log_in(ticket, "alice") is None
    assert gate.admission.open_session(ticket, 1) is None
    assert gate.admission.open_session(ticket, 1) == Refusal("too many sessions of this user")


def test_a_connection_that_is_refused_does_not_count_for_its_source() -> None:
    gate = Gate(LIMITS.model_copy(update={"max_connections": 2, "max_connections_per_source": 2}))
    first, _second = gate.logging_in("a"), gate.logging_in("b")
    for _ in range(2):
        assert gate.admission.arrive("c", 0) == Refusal("too many connections")
    gate.admission.leave(first)
    gate.come("c")


TIGHT = LIMITS.model_copy(update={"max_connections_per_source": 5})
MOST_SESSIONS = 4


class Comings(RuleBasedStateMachine):
    """Connections come, log in and go in any order; the limits hold and the counts end at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.here: list[TrackedConnection] = []
        self.admission = Admission(TIGHT, lambda ticket, _reason: self.here.remove(ticket))
        self.now = 0.0

    @rule(source=st.sampled_from("abcdef"), pause=st.sampled_from([0.0, 1.0, 6.0]), speaks=st.booleans())
    def come(self, source: str, pause: float, speaks: bool) -> None:
        self.now += pause
        answer = self.admission.arrive(source, self.now)
        if isinstance(answer, TrackedConnection):
            answer.has_spoken = speaks
            self.here.append(answer)

    @rule(pause=st.sampled_from([0.0, 1.0, 6.0, 31.0]))
    def look(self, pause: float) -> None:
        self.now += pause
        self.admission.give_up(self.now)
        while (ticket := self.admission.next(self.now)) is not None:
            assert ticket in self.here
        queued = [ticket for ticket in self.here if ticket.stage is AdmissionStage.QUEUED]
        if self.admission.entering < LIMITS.max_unauthenticated:
            assert all(self.entering_of(ticket.source) == 2 for ticket in queued), "nobody waits without need"

    @rule(index=st.integers(0, 20))
    def speak(self, index: int) -> None:
        if self.here:
            self.here[index % len(self.here)].has_spoken = True

    @rule(index=st.integers(0, 20), user=st.sampled_from("xy"))
    def log_in(self, index: int, user: str) -> None:
        entering = [ticket for ticket in self.here if ticket.stage is AdmissionStage.ENTERING]
        if entering:
            self.admission.log_in(entering[index % len(entering)], user)

    @rule(index=st.integers(0, 20))
    def open_session(self, index: int) -> None:
        if self.here:
            ticket = self.here[index % len(self.here)]
            of_user = sum(t.sessions for t in self.here if t.user == ticket.user)
            fits = ticket.stage is AdmissionStage.LOGGED_IN and of_user < MOST_SESSIONS
            assert (self.admission.open_session(ticket, MOST_SESSIONS) is None) == fits

    @rule(index=st.integers(0, 20))
    def close_session(self, index: int) -> None:
        if self.here:
            self.admission.close_session(self.here[index % len(self.here)])

    @rule(index=st.integers(0, 20))
    def go(self, index: int) -> None:
        if self.here:
            ticket = self.here.pop(index % len(self.here))
            self.admission.leave(ticket)
            self.admission.leave(ticket)

    @rule()
    def all_go(self) -> None:
        for ticket in self.here:
            self.admission.leave(ticket)
        self.here.clear()
        counts = (self.admission._queue, self.admission._entering, self.admission._entering_of)
        of_those_inside = (self.admission._users, self.admission._sessions, self.admission._sources)
        assert not any([*counts, *of_those_inside]), "nothing is kept of those that are gone"

    def entering_of(self, source: str) -> int:
        return sum(t.source == source and t.stage is AdmissionStage.ENTERING for t in self.here)

    @invariant()
    def limits_hold(self) -> None:
        stages = [ticket.stage for ticket in self.here]
        assert self.admission.total == len(self.here) <= LIMITS.max_connections
        assert self.admission.entering == stages.count(AdmissionStage.ENTERING) <= LIMITS.max_unauthenticated
        assert self.admission.queued == stages.count(AdmissionStage.QUEUED) <= LIMITS.max_queued
        for source in "abcdef":
            assert self.entering_of(source) <= LIMITS.max_unauthenticated_per_source
            assert sum(t.source == source for t in self.here) <= TIGHT.max_connections_per_source
        for user in "xy":
            assert sum(t.user == user for t in self.here) <= LIMITS.max_connections_per_user


Comings.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestComings = Comings.TestCase
