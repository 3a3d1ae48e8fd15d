"""Facts are believed for a moment, and never against what this process has done."""

from __future__ import annotations

import pytest

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.cache import Facts

FILE = FileInfo.file(1, version='"a"')
OTHER = FileInfo.file(2, version='"b"')
DIRECTORY = FileInfo.directory()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def facts(clock: Clock) -> Facts:
    return Facts(2.0, 100, clock)


def known(facts: Facts, key: str) -> FileInfo | str | None:
    fact = facts.get(key)
    return "unknown" if fact is None else fact.info


def test_a_fact_is_believed_for_its_time_and_no_longer(facts: Facts, clock: Clock) -> None:
    facts.learn("a", FILE, facts.ticket("a"))
    clock.now = 1.9
    assert known(facts, "a") == FILE
    clock.now = 2.0
    assert known(facts, "a") == "unknown"


def test_a_fact_is_as_old_as_the_question_not_as_the_answer(facts: Facts, clock: Clock) -> None:
    ticket = facts.ticket("a")
    clock.now = 1.5
    facts.learn("a", FILE, ticket)
    clock.now = 1.9
    assert known(facts, "a") == FILE
    clock.now = 2.1
    assert known(facts, "a") == "unknown"


def test_that_nothing_is_there_is_a_fact_too(facts: Facts) -> None:
    facts.learn("a", None, facts.ticket("a"))
    assert known(facts, "a") is None


def test_a_change_drops_the_fact_and_may_leave_another(facts: Facts) -> None:
    facts.learn("a", FILE, facts.ticket("a"))
    with facts.changing("a"):
        assert known(facts, "a") == FILE
    assert known(facts, "a") == "unknown"
    with facts.changing("a") as change:
        change.left(OTHER)
    assert known(facts, "a") == OTHER


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_changes_at_once_nobody_knows_what_they_left(facts: Facts, first: int) -> None:
    """Their answers may come in another order than the store carried them out."""
    contexts = [facts.changing("a"), facts.changing("a")]
    for version, context in enumerate(contexts):
        context.__enter__().left(FileInfo.file(version, version=f'"{version}"'))
    for context in (contexts[first], contexts[1 - first]):
        context.__exit__(None, None, None)
        assert known(facts, "a") == "unknown"
    with facts.changing("a") as change:
        change.left(FILE)
    assert known(facts, "a") == FILE


def test_a_change_that_fails_leaves_nothing_known(facts: Facts) -> None:
    facts.learn("a", FILE, facts.ticket("a"))
    with pytest.raises(ValueError, match="x"), facts.changing("a"):
        raise ValueError("x")
    assert known(facts, "a") == "unknown"


def test_an_answer_that_was_asked_for_before_a_change_is_not_kept(facts: Facts) -> None:
    early = facts.ticket("a")
    with facts.changing("a"):
        within = facts.ticket("a")
    for ticket in (early, within):
        facts.learn("a", FILE, ticket)
        assert known(facts, "a") == "unknown"
    facts.learn("a", FILE, facts.ticket("a"))
    assert known(facts, "a") == FILE


def test_a_new_file_makes_the_directories_above_it_known_no_more_to_be_missing(facts: Facts) -> None:
    for key in ("a", "a/b", "x"):
        facts.learn(key, None, facts.ticket(key))
    early = facts.ticket("a/b")
    with facts.changing("a/b/c"):
        pass
    assert [known(facts, key) for key in ("a", "a/b", "x")] == ["unknown", "unknown", None]
    facts.learn("a/b", None, early)
    assert known(facts, "a/b") == "unknown"


def test_a_directory_above_may_vanish_with_a_removed_file_but_a_file_above_does_not(facts: Facts) -> None:
    facts.learn("a", FILE, facts.ticket("a"))
    facts.learn("a/b", DIRECTORY, facts.ticket("a/b"))
    with facts.changing("a/b/c"):
        pass
    assert known(facts, "a") == FILE
    assert known(facts, "a/b") == "unknown"


def test_directories_above_a_file_that_is_there_are_known_to_be(facts: Facts) -> None:
    facts.learn("a", DIRECTORY, facts.ticket("a"))
    facts.learn("a/b", None, facts.ticket("a/b"))
    with facts.changing("a/b/c") as change:
        change.left(FILE)
    assert [known(facts, key) for key in ("a", "a/b", "a/b/c")] == [DIRECTORY, DIRECTORY, FILE]
    with facts.changing("a/b/c", beside="a/d"):
        pass
    assert [known(facts, key) for key in ("a", "a/b")] == [DIRECTORY, "unknown"]


def test_a_directory_is_remembered_as_one_though_files_came_into_it_while_the_store_was_asked(
    facts: Facts,
) -> None:
    """Clients ask for the directory again and again while they fill it."""
    early = facts.ticket("a")
    with facts.changing("a/b") as change:
        change.left(FILE)
    facts.learn("a", DIRECTORY, early)
    assert known(facts, "a") == DIRECTORY
    early = facts.ticket("a")
    with facts.changing("a/b"):  # which may have been the last
        pass
    facts.learn("a", DIRECTORY, early)
    assert known(facts, "a") == "unknown"


def test_what_is_known_of_a_directory_above_does_not_live_longer_because_of_us(
    facts: Facts, clock: Clock
) -> None:
    facts.learn("a", DIRECTORY, facts.ticket("a"))
    clock.now = 1.5
    with facts.changing("a/b") as change:
        change.left(FILE)
    clock.now = 2.5
    assert known(facts, "a") == "unknown"


def test_a_change_of_a_tree_drops_all_below_and_nothing_beside(facts: Facts) -> None:
    for key in ("foo/a", "foo/b/c", "foobar/a", "foo.csv"):
        facts.learn(key, FILE, facts.ticket(key))
    early = facts.ticket("foo/b/c")
    with facts.changing("foo", tree=True):
        pass
    assert known(facts, "foo/a") == known(facts, "foo/b/c") == "unknown"
    assert known(facts, "foobar/a") == known(facts, "foo.csv") == FILE
    facts.learn("foo/b/c", FILE, early)
    assert known(facts, "foo/b/c") == "unknown"


def test_no_more_is_remembered_than_allowed(clock: Clock) -> None:
    facts = Facts(2.0, 3, clock)
    for number in range(10):
        facts.learn(str(number), FILE, facts.ticket(str(number)))
    assert len(facts) == 3
    assert known(facts, "9") == FILE


def test_zero_turns_it_off(clock: Clock) -> None:
    facts = Facts(0, 100, clock)
    with facts.changing("a") as change:
        change.left(FILE)
    facts.learn("a", FILE, facts.ticket("a"))
    assert known(facts, "a") == "unknown"
