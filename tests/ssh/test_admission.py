"""How many connections there may be, decided without a socket."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from s3sftp.ssh import SshOptions
from s3sftp.ssh.admission import Admission, Refusal, Ticket

LIMITS = SshOptions(
    max_unauthenticated=4, max_unauthenticated_per_source=2, max_connections=8, max_connections_per_user=3
)


def admitted(admission: Admission, source: str, now: float = 0) -> Ticket:
    answer = admission.arrive(source, now)
    assert isinstance(answer, Ticket)
    return answer


def test_one_source_may_only_wait_so_often_and_others_still_come_in() -> None:
    admission = Admission(LIMITS)
    first = admitted(admission, "a")
    admitted(admission, "a")
    assert admission.arrive("a", 0) == Refusal("too many connections of this source before login")
    admitted(admission, "b")
    admission.leave(first)
    admitted(admission, "a")


def test_a_full_waiting_room_expels_the_oldest_only_when_it_has_had_its_time() -> None:
    admission = Admission(LIMITS)
    oldest, *_ = [admitted(admission, str(n), now=n) for n in range(4)]
    assert admission.arrive("x", 4) == Refusal("too many connections before login")
    assert admitted(admission, "x", 5.0).expels is oldest
    assert admission.waiting == 4


def test_a_full_waiting_room_expels_from_the_source_with_the_most_for_one_that_has_none() -> None:
    admission = Admission(LIMITS)
    greedy, *_ = [admitted(admission, source) for source in "abac"]
    assert admitted(admission, "d").expels is greedy
    assert isinstance(admission.arrive("d", 0), Refusal)


def test_a_source_beyond_its_own_limit_expels_nobody() -> None:
    admission = Admission(LIMITS)
    for source in "aabc":
        admitted(admission, source)
    assert isinstance(admission.arrive("a", 100), Refusal)
    assert admission.waiting == 4


def test_a_login_makes_room_in_the_waiting_room_and_counts_for_its_user() -> None:
    admission = Admission(LIMITS)
    for n in range(3):
        assert admission.log_in(admitted(admission, str(n)), "alice") is None
    assert admission.waiting == 0
    fourth = admitted(admission, "9")
    assert admission.log_in(fourth, "alice") == Refusal("too many connections of this user")
    assert admission.log_in(fourth, "bob") is None


class Comings(RuleBasedStateMachine):
    """Connections come, log in and go in any order; the limits hold and the counts end at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(LIMITS)
        self.now = 0.0
        self.here: list[Ticket] = []

    @rule(source=st.sampled_from("abcdef"), pause=st.sampled_from([0.0, 1.0, 6.0]))
    def come(self, source: str, pause: float) -> None:
        self.now += pause
        answer = self.admission.arrive(source, self.now)
        if isinstance(answer, Ticket):
            self.here.append(answer)
            if answer.expels is not None:
                self.here.remove(answer.expels)

    @rule(index=st.integers(0, 20), user=st.sampled_from("xy"))
    def log_in(self, index: int, user: str) -> None:
        waiting = [ticket for ticket in self.here if ticket.user is None]
        if waiting:
            self.admission.log_in(waiting[index % len(waiting)], user)

    @rule(index=st.integers(0, 20))
    def go(self, index: int) -> None:
        if self.here:
            ticket = self.here.pop(index % len(self.here))
            self.admission.leave(ticket)
            self.admission.leave(ticket)

    @invariant()
    def limits_hold(self) -> None:
        waiting = [ticket for ticket in self.here if ticket.user is None]
        assert self.admission.total == len(self.here) <= LIMITS.max_connections
        assert self.admission.waiting == len(waiting) <= LIMITS.max_unauthenticated
        for source in "abcdef":
            assert sum(t.source == source for t in waiting) <= LIMITS.max_unauthenticated_per_source
        for user in "xy":
            assert sum(t.user == user for t in self.here) <= LIMITS.max_connections_per_user


Comings.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestComings = Comings.TestCase
