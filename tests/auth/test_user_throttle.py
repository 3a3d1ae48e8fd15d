"""The limit of wrong passwords for one user from many sources: the owner's own sources do not feel it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth.user_throttle import UserThrottle


def throttle(failures: int = 3, max_entries: int = 100) -> UserThrottle:
    return UserThrottle(failures, 60, max_entries)


def attacked(failures: int = 3, name: str = "alice") -> UserThrottle:
    """A throttle whose limit for the name is reached."""
    table = throttle(failures)
    for number in range(failures):
        assert table.allows(name, f"attacker {number}", number)
        table.failed(name, f"attacker {number}", number)
    return table


def test_beyond_the_limit_no_new_source_may_try_this_name_and_other_names_are_free() -> None:
    table = attacked()
    assert not table.allows("alice", "stranger", 3)
    assert table.allows("bob", "stranger", 3)


def test_a_source_that_has_logged_in_with_the_name_may_always_try() -> None:
    table = attacked()
    table.logged_in("alice", "office")
    assert table.allows("alice", "office", 3)
    table.logged_in("bob", "elsewhere")
    assert not table.allows("alice", "elsewhere", 3)


def test_mistakes_of_the_owner_do_not_count() -> None:
    table = throttle()
    table.logged_in("alice", "office")
    for now in range(10):
        table.failed("alice", "office", now)
    assert table.allows("alice", "stranger", 10)
    assert len(table) == 1


def test_a_wrong_password_counts_until_the_window_has_passed() -> None:
    table = attacked()
    assert not table.allows("alice", "stranger", 59)
    assert table.allows("alice", "stranger", 60)
    table.failed("alice", "stranger", 60)
    assert not table.allows("alice", "stranger", 60.5)
    assert table.allows("alice", "stranger", 61)


def test_the_limit_ends_although_the_attack_goes_on() -> None:
    table = attacked()
    for now in range(3, 60):
        assert not table.allows("alice", "attacker", now)
        table.failed("alice", "attacker", now)
    assert table.allows("alice", "stranger", 61)


@given(st.lists(st.floats(0, 20), max_size=200))
def test_in_no_window_are_more_passwords_tried_than_the_limit(pauses: list[float]) -> None:
    table = throttle(failures=5)
    tried: list[float] = []
    now = 0.0
    for pause in pauses:
        now += pause
        if table.allows("alice", "attacker", now):
            tried.append(now)
        table.failed("alice", "attacker", now)
        assert len([at for at in tried if at > now - 60]) <= 5


def test_zero_means_that_there_is_no_limit() -> None:
    table = throttle(failures=0)
    table.failed("alice", "attacker", 0)
    assert table.allows("alice", "attacker", 0)
    assert len(table) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 30)), max_size=200))
def test_what_is_remembered_never_grows_beyond_its_limit(events: list[tuple[bool, int, int]]) -> None:
    table = throttle(max_entries=10)
    for is_login, name, source in events:
        if is_login:
            table.logged_in(str(name), str(source))
        else:
            table.failed(str(name), str(source), 0)
        assert len(table) <= 10


def test_the_name_that_was_quiet_for_longest_is_forgotten_first() -> None:
    table = throttle(failures=1, max_entries=2)
    table.failed("alice", "attacker", 0)
    table.failed("bob", "attacker", 1)
    assert not table.allows("alice", "attacker", 2)  # under attack still
    table.failed("carol", "attacker", 3)
    assert [table.allows(name, "x", 4) for name in ("alice", "bob", "carol")] == [False, True, False]
    table.failed("alice", "attacker", 5)
    table.failed("dave", "attacker", 6)
    assert [table.allows(name, "x", 7) for name in ("alice", "carol")] == [False, True]


def test_a_name_is_forgotten_when_its_last_wrong_password_no_longer_counts() -> None:
    table = throttle()
    for number in range(50):
        table.failed(f"name {number}", "attacker", number / 10)
    assert len(table) == 50
    table.failed("later", "attacker", 70)
    assert len(table) == 1
    assert table.allows("later", "stranger", 130)
    assert len(table) == 0


def test_without_a_limit_logins_are_not_remembered_either() -> None:
    table = throttle(failures=0)
    table.logged_in("alice", "office")
    assert len(table) == 0


def test_attempts_after_a_proven_factor_are_counted_apart() -> None:
    table = attacked()
    assert table.allows("alice", "stranger", 3, has_proven=True)
    for number in range(3):
        table.failed("alice", f"thief of a key {number}", 3, has_proven=True)
    assert not table.allows("alice", "stranger", 4, has_proven=True)


def test_the_login_longest_ago_is_forgotten_first() -> None:
    table = throttle(failures=1, max_entries=2)
    table.failed("alice", "attacker", 0)
    for source in ("office", "home", "office", "train"):
        table.logged_in("alice", source)
    assert [table.allows("alice", source, 3) for source in ("office", "home", "train")] == [True, False, True]


def test_wrong_passwords_that_were_under_way_take_the_place_of_old_ones_alone() -> None:
    table = attacked()
    table.failed("alice", "late", 3)  # beyond the limit: not counted
    table.failed("alice", "attacker", 61)
    assert table.allows("alice", "stranger", 61.5)
    table.failed("alice", "attacker", 61.5)
    assert not table.allows("alice", "stranger", 61.6)
