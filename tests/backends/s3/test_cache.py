"""What a session listed is believed for a moment by it alone, what it stored by its user, and neither against
what this process has done, however requests and answers interleave."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from s3sftp.backends.contract import FileInfo, Session
from s3sftp.backends.s3.metadata import cache as cache_module
from s3sftp.backends.s3.metadata.cache import MetadataCache, PendingChange, ReadPoint

FILE = FileInfo.file(1, version='"a"')
OTHER = FileInfo.file(2, version='"b"')
DIRECTORY = FileInfo.directory()
ALICE, BOB = Session("alice", session_id="1"), Session("bob", session_id="2")
ALICE_TOO = Session("alice", session_id="3")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> MetadataCache:
    return MetadataCache(2.0, 100, clock)


def known(cache: MetadataCache, key: str, session: Session = ALICE) -> FileInfo | str:
    fact = cache.get(key, session)
    return "unknown" if fact is None else fact.info


def list_it(
    cache: MetadataCache,
    key: str,
    info: FileInfo = FILE,
    session: Session = ALICE,
    moment: ReadPoint | None = None,
) -> None:
    cache.record(key, session, info, moment or cache.read_point(), answers=True)


def test_a_fact_is_believed_for_its_time_and_no_longer(cache: MetadataCache, clock: Clock) -> None:
    list_it(cache, "a")
    clock.now = 1.9
    assert known(cache, "a") == FILE
    clock.now = 2.0
    assert known(cache, "a") == "unknown"


def test_a_fact_is_as_old_as_the_question_not_as_the_answer(cache: MetadataCache, clock: Clock) -> None:
    moment = cache.read_point()
    clock.now = 1.5
    list_it(cache, "a", moment=moment)
    clock.now = 1.9
    assert known(cache, "a") == FILE
    clock.now = 2.1
    assert known(cache, "a") == "unknown"


def test_a_page_that_was_asked_for_before_another_answer_does_not_replace_it(
    cache: MetadataCache, clock: Clock
) -> None:
    early = cache.read_point()
    clock.now = 1.0
    cache.record("a", ALICE, OTHER, cache.read_point(), answers=False)
    list_it(cache, "a", moment=early)
    assert known(cache, "a") == OTHER


def test_a_fact_is_its_session_s_alone(cache: MetadataCache) -> None:
    list_it(cache, "a")
    with cache.changing("b", ALICE) as change:
        change.left(OTHER)
    assert [known(cache, key, ALICE) for key in "ab"] == [FILE, OTHER]
    assert [known(cache, key, BOB) for key in "ab"] == ["unknown", "unknown"]


def look_up(cache: MetadataCache, key: str, session: Session = ALICE) -> None:
    cache.record(key, session, DIRECTORY, cache.read_point(), answers=False)


def put(cache: MetadataCache, key: str, session: Session = ALICE) -> None:
    with cache.changing(key, session) as change:
        change.left(FILE)


def answers(cache: MetadataCache, key: str, session: Session = ALICE) -> bool:
    return cache.answer(key, session) is not None


def test_a_directory_answers_while_it_was_looked_up_and_changed_in_a_moment_ago(
    cache: MetadataCache, clock: Clock
) -> None:
    look_up(cache, "d")
    assert not answers(cache, "d")  # what a lookup told does not answer the next
    put(cache, "d/e/f")
    assert answers(cache, "d")
    clock.now = 1.9
    put(cache, "d/g")
    assert answers(cache, "d")
    clock.now = 2.0
    assert not answers(cache, "d"), "changes in it prolong what a lookup told"
    look_up(cache, "d")
    assert answers(cache, "d")
    clock.now = 3.9
    assert not answers(cache, "d"), "a change is remembered for longer than cache_ttl"


def test_a_directory_that_another_session_has_changed_in_answers_no_other(cache: MetadataCache) -> None:
    look_up(cache, "d")
    put(cache, "d/f", BOB)
    assert not answers(cache, "d")
    look_up(cache, "d", ALICE_TOO)
    assert not answers(cache, "d")


def test_a_directory_that_a_session_has_changed_in_answers_by_what_another_of_the_user_looked_up(
    cache: MetadataCache, clock: Clock
) -> None:
    put(cache, "d/f", ALICE_TOO)
    put(cache, "d/g", BOB)
    look_up(cache, "d")
    assert answers(cache, "d", ALICE_TOO)
    assert not answers(cache, "d", BOB), "another user's"
    clock.now = 1.9
    put(cache, "d/f", ALICE_TOO)
    clock.now = 2.0
    assert not answers(cache, "d", ALICE_TOO), "it is older than cache_ttl"


def test_the_latest_lookup_of_a_user_counts(cache: MetadataCache, clock: Clock) -> None:
    early = cache.read_point()
    clock.now = 1.0
    look_up(cache, "d", ALICE_TOO)
    cache.record("d", ALICE, FileInfo.directory(mtime=1.0), early, answers=False)
    put(cache, "d/f")
    fact = cache.answer("d", ALICE)
    assert fact is not None
    assert fact.info == DIRECTORY


def test_a_directory_that_a_session_found_to_be_a_file_answers_none_of_the_user(
    cache: MetadataCache, clock: Clock
) -> None:
    for session in (ALICE, ALICE_TOO):
        put(cache, "d/f", session)
    look_up(cache, "d")
    clock.now = 1.0
    cache.record("d", ALICE_TOO, FILE, cache.read_point(), answers=False)
    assert not answers(cache, "d")
    assert not answers(cache, "d", ALICE_TOO)


def test_a_directory_that_this_process_removes_answers_no_session(cache: MetadataCache) -> None:
    for session in (ALICE, ALICE_TOO):
        put(cache, "d/f", session)
    look_up(cache, "d")
    with cache.changing("d/f", BOB):
        pass
    assert not answers(cache, "d")
    assert not answers(cache, "d", ALICE_TOO)


def test_a_listing_answers_no_other_session_of_the_user(cache: MetadataCache) -> None:
    list_it(cache, "d", DIRECTORY)
    put(cache, "d/f", ALICE_TOO)
    assert not answers(cache, "d", ALICE_TOO)


def test_a_file_that_a_session_has_stored_is_known_to_all_of_the_user_and_to_no_other(
    cache: MetadataCache, clock: Clock
) -> None:
    put(cache, "d/f")
    assert known(cache, "d/f", ALICE_TOO) == FILE
    assert not answers(cache, "d/f", ALICE_TOO), "STAT asks the store"
    assert known(cache, "d/f", BOB) == "unknown"
    clock.now = 2.0
    assert known(cache, "d/f", ALICE_TOO) == "unknown", "it is older than cache_ttl"


def test_a_directory_that_a_session_has_made_is_known_to_no_other(cache: MetadataCache) -> None:
    with cache.changing("d", ALICE) as change:
        change.left(DIRECTORY)
    assert known(cache, "d", ALICE_TOO) == "unknown"


def test_what_a_session_has_stored_is_over_for_all_of_the_user_when_the_store_shows_something_else(
    cache: MetadataCache, clock: Clock
) -> None:
    put(cache, "d/f")
    clock.now = 1.0
    cache.record("d/f", ALICE_TOO, OTHER, cache.read_point(), answers=False)
    assert known(cache, "d/f", Session("alice", session_id="4")) == "unknown"


def test_what_a_session_has_stored_is_over_for_all_of_the_user_when_anybody_changes_it(
    cache: MetadataCache,
) -> None:
    put(cache, "d/f")
    with cache.changing("d/f", BOB):
        pass
    assert known(cache, "d/f", ALICE_TOO) == "unknown"


def test_a_file_that_was_looked_up_does_not_answer_for_what_is_below_it(cache: MetadataCache) -> None:
    cache.record("d", ALICE, FILE, cache.read_point(), answers=False)
    put(cache, "d/f")
    assert not answers(cache, "d")


def test_a_change_that_fails_makes_no_directory_answer(cache: MetadataCache) -> None:
    look_up(cache, "d")
    with pytest.raises(OSError, match="no"), cache.changing("d/f", ALICE) as change:
        change.left_something()
        raise OSError("no")
    assert not answers(cache, "d")


@pytest.mark.parametrize("by", [ALICE, BOB], ids=["its own", "another"])
def test_a_change_by_any_session_ends_what_all_believe_and_is_known_to_its_own(
    cache: MetadataCache, by: Session
) -> None:
    for session in (ALICE, BOB):
        list_it(cache, "a", session=session)
    with cache.changing("a", by) as change:
        assert known(cache, "a", ALICE) == known(cache, "a", BOB) == "unknown"
        change.left(OTHER)
    for session in (ALICE, BOB):
        assert known(cache, "a", session) == (OTHER if session is by else "unknown")
    with cache.changing("a", by):
        pass
    assert known(cache, "a", by) == "unknown"


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("other", [ALICE, BOB], ids=["same session", "two sessions"])
def test_of_two_changes_at_once_nobody_knows_what_they_left(
    cache: MetadataCache, first: int, other: Session
) -> None:
    """Their answers may come in another order than the store carried them out."""
    contexts = [cache.changing("a", ALICE), cache.changing("a", other)]
    for version, context in enumerate(contexts):
        context.__enter__().left(FileInfo.file(version, version=f'"{version}"'))
    for context in (contexts[first], contexts[1 - first]):
        context.__exit__(None, None, None)
        assert known(cache, "a", ALICE) == known(cache, "a", other) == "unknown"
    with cache.changing("a", ALICE) as change:
        change.left(FILE)
    assert known(cache, "a") == FILE


def test_a_change_that_fails_leaves_nothing_known(cache: MetadataCache) -> None:
    list_it(cache, "a")
    with pytest.raises(ValueError, match="x"), cache.changing("a", ALICE):
        raise ValueError("x")
    assert known(cache, "a") == "unknown"


@pytest.mark.parametrize("by", [ALICE, BOB])
def test_an_answer_that_was_asked_for_before_the_end_of_a_change_does_not_replace_what_that_left(
    cache: MetadataCache, by: Session
) -> None:
    early = cache.read_point()
    with cache.changing("a", by) as change:
        within = cache.read_point()
        change.left(OTHER)
    for moment in (early, within):
        list_it(cache, "a", moment=moment)
        assert known(cache, "a") == (OTHER if by is ALICE else "unknown")
    list_it(cache, "a")
    assert known(cache, "a") == FILE


def test_a_directory_above_may_vanish_with_a_removed_file_and_nothing_else_does(cache: MetadataCache) -> None:
    list_it(cache, "a/b", DIRECTORY)
    list_it(cache, "x")
    early = cache.read_point()
    with cache.changing("a/b/c", BOB):
        pass
    assert [known(cache, key) for key in ("a/b", "x")] == ["unknown", FILE]
    list_it(cache, "a/b", DIRECTORY, moment=early)
    assert known(cache, "a/b") == "unknown"


def test_directories_above_a_file_that_is_there_are_still_known_to_be(
    cache: MetadataCache, clock: Clock
) -> None:
    """Clients ask for the directory again and again while they fill it."""
    early = cache.read_point()
    list_it(cache, "a", DIRECTORY)
    list_it(cache, "a/b", DIRECTORY)
    clock.now = 1.5
    with cache.changing("a/b/c", ALICE) as change:
        change.left(FILE)
    assert [known(cache, key) for key in ("a", "a/b", "a/b/c")] == [DIRECTORY, DIRECTORY, FILE]
    with cache.changing("a/b/c", ALICE, beside="a/d"):
        pass
    assert [known(cache, key) for key in ("a", "a/b")] == [DIRECTORY, "unknown"]
    list_it(cache, "a", DIRECTORY, moment=early)
    clock.now = 2.5
    assert known(cache, "a") == "unknown"


def test_a_change_of_a_tree_ends_what_is_believed_of_all_below(cache: MetadataCache) -> None:
    for key in ("foo", "foo/a", "foo/b/c"):
        list_it(cache, key)
    early = cache.read_point()
    with cache.changing("foo", BOB, tree=True):
        pass
    assert {known(cache, key) for key in ("foo", "foo/a", "foo/b/c")} == {"unknown"}
    list_it(cache, "foo/b/c", moment=early)
    assert known(cache, "foo/b/c") == "unknown"


def test_what_the_store_has_contradicted_nobody_believes(cache: MetadataCache) -> None:
    for session in (ALICE, BOB):
        list_it(cache, "a", session=session)
    cache.forget("a")
    assert known(cache, "a", ALICE) == known(cache, "a", BOB) == "unknown"


def test_no_more_is_remembered_than_allowed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_CHANGES_KEPT", 3)
    cache = MetadataCache(2.0, 3, clock)
    for number in range(10):
        list_it(cache, str(number))
    assert len(cache) == 3
    assert known(cache, "9") == FILE
    for number in range(10, 20):
        with cache.changing(str(number), BOB):
            pass
    assert len(cache._changed) == 3
    assert known(cache, "9") == "unknown", "it may have been among the changes that are forgotten"


def test_zero_turns_it_off(clock: Clock) -> None:
    cache = MetadataCache(0, 100, clock)
    with cache.changing("a", ALICE) as change:
        change.left(FILE)
    list_it(cache, "a")
    assert known(cache, "a") == "unknown"


KEYS = ["a", "a/b", "a/b/c", "a/x", "d", "d/e"]
SESSIONS = [ALICE, BOB, Session("alice", session_id="3")]


def version(number: int) -> FileInfo:
    return FileInfo.file(number, version=f'"{number}"')


class Interleaving(RuleBasedStateMachine):
    """A store of a few keys; sessions of one process list and change, and the others do something in between.

    An answer is taken from the store at one moment and arrives at another; so does a change take effect at
    one moment and is answered at another. What a session believes must be what the store says, unless a
    change of that key is under way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cache = MetadataCache(1e9, 1000)
        self.store: dict[str, FileInfo | None] = dict.fromkeys(KEYS)
        self.number = 0
        self.listed: list[tuple[Session, ReadPoint, dict[str, FileInfo | None]]] = []
        self.changing: list[list[object]] = []

    @rule(session=st.sampled_from(SESSIONS), directory=st.sampled_from(["", "a", "a/b", "d"]))
    def list_directory(self, session: Session, directory: str) -> None:
        moment = self.cache.read_point()
        inside = [key for key in KEYS if key.rpartition("/")[0] == directory]
        self.listed.append((session, moment, {key: self.store[key] for key in inside}))

    @rule(index=st.integers(0, 9))
    def listing_arrives(self, index: int) -> None:
        if self.listed:
            session, moment, found = self.listed.pop(index % len(self.listed))
            for key, info in found.items():
                if info is not None:
                    self.cache.record(key, session, info, moment, answers=True)

    @rule(session=st.sampled_from(SESSIONS), key=st.sampled_from(KEYS), tree=st.booleans())
    def change(self, session: Session, key: str, tree: bool) -> None:
        context = self.cache.changing(key, session, tree=tree)
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
            assert isinstance(change, PendingChange)
            change.left(effect)  # type: ignore[arg-type]
        context.__exit__(None, None, None)  # type: ignore[attr-defined]
        del self.changing[index % len(self.changing)]

    @rule(session=st.sampled_from(SESSIONS), key=st.sampled_from(KEYS))
    def look(self, session: Session, key: str) -> None:
        under_way = any(
            key == changing or (tree and key.startswith(f"{changing}/"))
            for _, changing, _, _, tree in self.changing
        )
        fact = self.cache.get(key, session)
        if fact is not None and not under_way:
            assert fact.info == self.store[key]


Interleaving.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestInterleaving = Interleaving.TestCase
