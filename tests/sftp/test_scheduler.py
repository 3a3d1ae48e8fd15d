"""The order of requests: who waits for whom, compared with a model that looks at every pair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.sftp.scheduler import Claim, PathNames, ScheduledRequest, Scheduler

PATHS = st.lists(st.sampled_from([b"a", b"b"]), max_size=3).map(tuple)
CLAIMS = st.one_of(
    st.builds(Claim, st.booleans(), PATHS),
    st.builds(Claim, st.just(False), PATHS, entries=st.just(True)),
    st.builds(Claim, st.booleans(), handle=st.integers(1, 2)),
)


def follows(later: Claim, earlier: Claim) -> bool:
    """Whether a claim must wait for an earlier one, as the module's table says it."""
    if (later.handle, earlier.handle) != (None, None):
        return later.handle == earlier.handle and (later.exclusive or earlier.exclusive)
    below = is_within(earlier.path, later.path)
    if earlier.exclusive:
        return is_within(later.path, earlier.path) or (below and (later.exclusive or later.entries))
    return later.exclusive and below


def is_within(path: PathNames, directory: PathNames) -> bool:
    return path[: len(directory)] == directory


@given(st.lists(st.lists(CLAIMS, max_size=2).map(tuple), max_size=12), st.randoms())
def test_a_request_waits_for_exactly_the_earlier_ones_that_it_follows(
    requests: list[tuple[Claim, ...]], random: object
) -> None:
    schedule = Scheduler()
    tickets: list[ScheduledRequest] = []
    done: set[ScheduledRequest] = set()

    def look() -> list[ScheduledRequest]:
        for number, ticket in enumerate(tickets):
            waits = any(
                follows(claim, other)
                for each in tickets[:number]
                if each not in done
                for claim in ticket.claims
                for other in each.claims
            )
            assert ticket.ready is not waits
        return [ticket for ticket in tickets if ticket.ready and ticket not in done]

    def finish_one(ready: list[ScheduledRequest]) -> None:
        chosen = random.choice(ready)  # type: ignore[attr-defined]
        done.add(chosen)
        became_ready = schedule.finish(chosen)
        assert became_ready == [each for each in look() if each not in ready]

    for claims in requests:
        tickets.append(schedule.admit(*claims))
        ready = look()
        if ready and random.random() < 0.3:  # type: ignore[attr-defined]
            finish_one(ready)
    while len(done) < len(tickets):
        ready = look()
        assert ready, "a deadlock"
        finish_one(ready)
    assert len(schedule) == 0
    assert not schedule._handles
    assert not schedule._paths._lines
    assert not schedule._paths._order
    assert not schedule._paths._depths
    assert not schedule._paths._barriers


A, AB, AC, ABC, B = (b"a",), (b"a", b"b"), (b"a", b"c"), (b"a", b"b", b"c"), (b"b",)


@pytest.mark.parametrize(
    ("later", "earlier", "waits"),
    [
        (Claim(False, A), Claim(False, A), False),
        (Claim(False, A), Claim(True, A), True),
        (Claim(True, A), Claim(False, A), True),
        (Claim(False, AB), Claim(True, A), True),  # STAT below a directory that is being renamed
        (Claim(True, A), Claim(True, AB), True),  # RMDIR of a directory in which a file is being closed
        (Claim(False, A), Claim(True, AB), False),  # STAT of a directory in which a file is being closed
        (Claim(True, AB), Claim(True, AC), False),  # two CLOSEs in one directory
        (Claim(False, A, entries=True), Claim(True, AB), True),  # a listing behind a CLOSE in the directory
        (Claim(False, A, entries=True), Claim(True, ABC), True),  # the file makes the directory it is in
        (Claim(False, A, entries=True), Claim(True, A), True),  # behind MKDIR of the directory
        (Claim(False, AB, entries=True), Claim(True, A), True),  # behind RENAME of a directory above
        (Claim(False, A, entries=True), Claim(True, B), False),
        (Claim(False, A, entries=True), Claim(False, AB), False),  # behind a STAT in the directory
        (Claim(False, A, entries=True), Claim(False, A, entries=True), False),
        (Claim(True, AB), Claim(False, A, entries=True), False),  # CLOSE in a directory that is being listed
        (Claim(True, A), Claim(False, A, entries=True), True),  # RMDIR of one
        (Claim(True, handle=1), Claim(True, handle=2), False),
        (Claim(True, handle=1), Claim(False, handle=1), True),
        (Claim(True, handle=1), Claim(True, A), False),
    ],
)
def test_what_waits_for_what(later: Claim, earlier: Claim, waits: bool) -> None:
    schedule = Scheduler()
    schedule.admit(earlier)
    assert schedule.admit(later).ready is not waits
    assert follows(later, earlier) is waits


@pytest.mark.parametrize(
    "kind",
    [
        "one handle",
        "one path",
        "one directory",
        "files and what is above",
        "listings behind changes",
        "listings between changes",
        "directories made in one",
    ],
)
def test_thousands_of_requests_that_wait_for_each_other_are_not_each_linked_to_all(kind: str) -> None:
    """Counted, not timed: how many links there are between as many requests as wait."""
    many = 2000
    claims: Callable[[int], Claim | tuple[Claim, ...]] = {
        "one handle": lambda n: Claim(n % 3 == 0, handle=1),
        "one path": lambda n: Claim(n % 3 == 0, A),
        "one directory": lambda n: Claim(n % 100 == 0, A if n % 100 == 0 else (b"a", b"%d" % n)),
        "files and what is above": lambda n: Claim(True, A if n % 2 else (b"a", b"%d" % n)),
        "listings behind changes": lambda n: (
            Claim(True, (b"a", b"%d" % n)) if n < many // 2 else Claim(False, A, entries=True)
        ),
        "listings between changes": lambda n: (
            Claim(True, (b"a", b"%d" % n)) if n % 2 else Claim(False, A, entries=True)
        ),
        "directories made in one": lambda n: (Claim(True, (b"a", b"%d" % n)), Claim(False, A, entries=True)),
    }[kind]
    schedule = Scheduler()
    requests = [claims(number) for number in range(many)]
    tickets = [
        schedule.admit(each) if isinstance(each, Claim) else schedule.admit(*each) for each in requests
    ]
    assert sum(len(ticket.followers) for ticket in tickets) < 3 * many
    waiting = [ticket for ticket in tickets if ticket.ready]
    while waiting:
        waiting += schedule.finish(waiting.pop())
    assert len(schedule) == 0


def test_listings_wait_for_the_changes_before_them_and_for_no_others() -> None:
    schedule = Scheduler()
    listing = Claim(False, A, entries=True)
    x, y = (schedule.admit(Claim(True, (b"a", name))) for name in (b"x", b"y"))
    first, second = schedule.admit(listing), schedule.admit(listing)
    z = schedule.admit(Claim(True, (b"a", b"z")))
    third = schedule.admit(listing)
    assert schedule.finish(x) == []
    assert schedule.finish(y) == [first, second]
    fourth = schedule.admit(listing)
    assert not fourth.ready
    assert schedule.finish(z) == [third, fourth]
    assert not schedule._paths._barriers
    assert schedule.admit(listing).ready
