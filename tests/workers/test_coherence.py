"""What one worker has changed no other worker believes any more, however requests and answers interleave."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.cache import Facts, Ticket
from s3sftp.backends.s3.generations import ROWS, Generations
from s3sftp.counters import Table, make_shared

KEYS = ["a", "a/b", "a/b/c", "a/x", "d", "d/e"]
WORKERS = 3


def caches(count: int = WORKERS, rows: int = ROWS) -> list[Facts]:
    """Caches of so many workers, each with a mapping of the table of its own, as processes have."""
    descriptor = make_shared(rows, count)
    try:
        tables = [Table.shared(descriptor, count, column) for column in range(count)]
    finally:
        os.close(descriptor)
    return [Facts(1e9, 1000, generations=Generations(table)) for table in tables]


def version(number: int) -> FileInfo:
    return FileInfo.file(number, version=f'"{number}"')


class Interleaving(RuleBasedStateMachine):
    """A store of a few keys; workers look, list and change, and everybody else does something in between.

    An answer is taken from the store at one moment and arrives at another; so does a change take effect at
    one moment and is answered at another. What a cache says must be what the store says, unless a change of
    that key is under way.
    """

    def __init__(self) -> None:
        super().__init__()
        # few rows, so that keys share some
        self.caches = caches(rows=9)
        self.store: dict[str, FileInfo | None] = dict.fromkeys(KEYS)
        self.number = 0
        self.asked: list[tuple[int, str, Ticket]] = []
        self.answered: list[tuple[int, str, Ticket, FileInfo | None]] = []
        self.listed: list[tuple[int, Ticket, dict[str, FileInfo | None]]] = []
        self.changing: list[list[object]] = []

    @rule(worker=st.integers(0, WORKERS - 1), key=st.sampled_from(KEYS))
    def ask(self, worker: int, key: str) -> None:
        self.asked.append((worker, key, self.caches[worker].ticket(key)))

    @rule(index=st.integers(0, 9))
    def store_answers(self, index: int) -> None:
        if self.asked:
            worker, key, ticket = self.asked.pop(index % len(self.asked))
            self.answered.append((worker, key, ticket, self.store[key]))

    @rule(index=st.integers(0, 9))
    def answer_arrives(self, index: int) -> None:
        if self.answered:
            worker, key, ticket, info = self.answered.pop(index % len(self.answered))
            self.caches[worker].learn(key, info, ticket)

    @rule(worker=st.integers(0, WORKERS - 1), directory=st.sampled_from(["", "a", "a/b", "d"]))
    def list_directory(self, worker: int, directory: str) -> None:
        ticket = self.caches[worker].ticket(directory)
        inside = [key for key in KEYS if key.rpartition("/")[0] == directory]
        self.listed.append((worker, ticket, {key: self.store[key] for key in inside}))

    @rule(index=st.integers(0, 9))
    def listing_arrives(self, index: int) -> None:
        if self.listed:
            worker, ticket, found = self.listed.pop(index % len(self.listed))
            for key, info in found.items():
                self.caches[worker].learn(key, info, ticket)

    @rule(worker=st.integers(0, WORKERS - 1), key=st.sampled_from(KEYS), tree=st.booleans())
    def change(self, worker: int, key: str, tree: bool) -> None:
        # two changes of one key at once may end in either order, also in one process
        if any(under_way[1] == key or tree or under_way[4] for under_way in self.changing):
            return
        context = self.caches[worker].changing(key, tree=tree)
        self.changing.append([context, key, context.__enter__(), None, tree])

    @rule(index=st.integers(0, 9), tells=st.booleans())
    def change_takes_effect_and_is_answered(self, index: int, tells: bool) -> None:
        if not self.changing:
            return
        context, key, change, effect, tree = self.changing[index % len(self.changing)]
        if effect is None:
            self.number += 1
            info = version(self.number)
            for name in KEYS:
                if name == key or (tree and name.startswith(f"{key}/")):
                    self.store[name] = info
            self.changing[index % len(self.changing)][3] = info
            return
        if tells:
            change.left(effect)  # type: ignore[attr-defined]
        context.__exit__(None, None, None)  # type: ignore[attr-defined]
        del self.changing[index % len(self.changing)]

    @rule(worker=st.integers(0, WORKERS - 1), key=st.sampled_from(KEYS))
    def look(self, worker: int, key: str) -> None:
        under_way = any(
            key == changing or (tree and key.startswith(f"{changing}/"))
            for _, changing, _, _, tree in self.changing
        )
        fact = self.caches[worker].get(key)
        # a cache may say that there is a directory where it knows of something below
        if fact is not None and not under_way and not (fact.info is not None and fact.info.is_dir):
            assert fact.info == self.store[key]


Interleaving.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestInterleaving = Interleaving.TestCase


def known(facts: Facts, key: str) -> FileInfo | str | None:
    fact = facts.get(key)
    return "unknown" if fact is None else fact.info


def test_a_fact_goes_when_another_worker_changes_the_name_and_no_other_fact_goes_with_it() -> None:
    one, two = caches(2)
    for key in ("a/b", "a/c"):
        two.learn(key, version(1), two.ticket(key))
    with one.changing("a/b") as change:
        change.left(version(2))
    assert [known(two, "a/b"), known(two, "a/c")] == ["unknown", version(1)]
    assert known(one, "a/b") == version(2)


def test_files_that_another_worker_adds_to_a_directory_leave_it_a_directory_and_those_it_takes_may_not() -> (
    None
):
    one, two = caches(2)
    two.learn("a", FileInfo.directory(), two.ticket("a"))
    two.learn("d", None, two.ticket("d"))
    for name in ("a/b", "d/e"):
        with one.changing(name) as change:
            change.left(version(1))
    assert [known(two, "a"), known(two, "d")] == [FileInfo.directory(), "unknown"]
    with one.changing("a/b"):
        pass
    assert known(two, "a") == "unknown"


def test_an_answer_from_during_another_workers_change_is_not_believed_after_it() -> None:
    one, two = caches(2)
    with one.changing("a"):
        two.learn("a", version(1), two.ticket("a"))
    assert known(two, "a") == "unknown"


def test_an_own_change_that_another_worker_has_overtaken_is_not_remembered() -> None:
    one, two = caches(2)
    with one.changing("a") as change:
        with two.changing("a") as later:
            later.left(version(2))
        change.left(version(1))
    assert known(one, "a") == "unknown"


def test_the_page_of_a_listing_is_not_believed_when_another_worker_changed_something_in_it() -> None:
    one, two = caches(2)
    for directory, name in (("", "top"), ("a", "a/b")):
        early = two.ticket(directory)
        with one.changing(name):
            pass
        two.learn(name, version(1), early)
        assert known(two, name) == "unknown"
        two.learn(name, version(1), two.ticket(directory))
        assert known(two, name) == version(1)


def test_a_tree_that_another_worker_moves_takes_all_facts_along_and_ones_own_stay() -> None:
    one, two = caches(2)
    for facts in (one, two):
        for key in ("foo/a", "bar"):
            facts.learn(key, version(1), facts.ticket(key))
    with one.changing("foo", tree=True):
        pass
    assert [known(two, "foo/a"), known(two, "bar")] == ["unknown", "unknown"]
    assert [known(one, "foo/a"), known(one, "bar")] == ["unknown", version(1)]


@pytest.mark.parametrize("columns", [1, 2, 64])
def test_a_process_sees_the_sum_of_the_others_and_writes_its_own_column_alone(columns: int) -> None:
    descriptor = make_shared(8, columns)
    tables = [Table.shared(descriptor, columns, column) for column in range(columns)]
    os.close(descriptor)
    for table in tables:
        table.add(3, table.column + 1)
    total = columns * (columns + 1) // 2
    for table in tables:
        assert (table.total(3), table.others(3)) == (total, total - table.column - 1)
        assert table.total(2) == table.total(4) == 0
        assert table.part(3, 2).total(0) == total
    tables[0].clear_column(columns - 1)
    assert tables[0].total(3) == total - columns
