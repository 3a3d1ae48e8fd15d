"""The rules of access, by themselves: which apply at a path, and what they refuse. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from s3sftp.config.name_patterns import pattern_problem
from s3sftp.errors import AlreadyExists, NotFound, PermissionDenied, StorageError
from s3sftp.fs.access_rules import (
    AccessRules,
    AppliedRules,
    OnConflict,
    RuleTree,
)
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import ALL_RIGHTS, READ_ONLY, Right, Rights, refusal, rights_of

ABOVE = AppliedRules(frozenset({Right.LIST}), ("*.csv",), ("*.exe",), ("*.tmp",), 100, OnConflict.REFUSE)
BELOW = AccessRules(frozenset({Right.READ}), ("*.txt",), ("*.bat",), (".*",), 50, OnConflict.KEEP_BOTH)
ALLOWING = AppliedRules()
FIELDS = ("rights", "allow", "deny", "hide", "max_file_bytes", "on_conflict")


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


def refused(call: Callable[[], None]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        call()
    return caught.value


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("read-write", set(Right)),
        ("read-only", {Right.LIST, Right.READ}),
        ("pick-up", {Right.LIST, Right.READ, Right.DELETE}),
        ("drop-box", {Right.WRITE}),
        ("mkdir", {Right.MKDIR}),
        (("drop-box", "mkdir", "rmdir"), {Right.WRITE, Right.MKDIR, Right.RMDIR}),
        (("list", "pick-up"), {Right.LIST, Right.READ, Right.DELETE}),
        ((), set()),
    ],
)
def test_presets_and_single_rights_add_up(words: str | tuple[str, ...], expected: set[Right]) -> None:
    assert rights_of(words) == expected


@pytest.mark.parametrize(
    ("word", "shown"), [("wirte", "'wirte'"), ("w" * 50, f"'{'w' * 40}'"), ("READ", "'READ'")]
)
def test_a_word_that_is_no_right_is_refused_with_those_that_are(word: str, shown: str) -> None:
    known = "read-write, read-only, pick-up, drop-box, " + ", ".join(right.value for right in Right)
    problem = f"{shown} is neither a preset nor a right; those are {known}"
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        rights_of(("list", word))


def test_who_may_only_read_is_told_so_for_each_change_and_others_what_is_missing() -> None:
    read_only = "read-only: you may not change files here"
    for held in (READ_ONLY, frozenset({Right.LIST}), frozenset({Right.READ})):
        assert {refusal(right, held) for right in set(Right) - READ_ONLY} == {read_only}
    assert refusal(Right.READ, frozenset({Right.LIST})) == "you may not read files here"
    assert refusal(Right.LIST, frozenset({Right.READ})) == "you may not look at files here"
    assert refusal(Right.DELETE, frozenset()) == "you may not remove files here"
    assert refusal(Right.DELETE, READ_ONLY | {Right.WRITE}) == "you may not remove files here"
    assert len({refusal(right, frozenset()) for right in Right}) == len(Right)


def test_each_right_that_is_needed_must_be_there() -> None:
    rules = AppliedRules(frozenset({Right.LIST, Right.WRITE}))
    rules.require()
    rules.require(Right.WRITE, Right.LIST)
    error = refused(lambda: rules.require(Right.WRITE, Right.DELETE, Right.READ))
    assert isinstance(error, PermissionDenied)
    assert (str(error), error.rule) == ("you may not remove files here", "missing right: delete")
    told = AppliedRules(READ_ONLY).missing(Right.WRITE)
    assert (str(told), told.rule) == ("read-only: you may not change files here", "missing right: write")


@pytest.mark.parametrize(
    ("rights", "sees"),
    [({Right.LIST}, True), ({Right.READ}, True), (set(Right) - READ_ONLY, False), (set(), False)],
)
def test_what_exists_is_known_to_those_who_may_list_or_read(rights: set[Right], sees: bool) -> None:
    assert AppliedRules(frozenset(rights)).sees is sees


def test_replacing_needs_its_right_and_a_rule_that_lets_it() -> None:
    AppliedRules(frozenset({Right.OVERWRITE})).refuse_replacing()
    AppliedRules(on_conflict=OnConflict.KEEP_BOTH).refuse_replacing()
    error = refused(AppliedRules(on_conflict=OnConflict.REFUSE).refuse_replacing)
    assert isinstance(error, AlreadyExists)
    assert error.rule == "on_conflict: refuse"
    error = refused(
        AppliedRules(ALL_RIGHTS - {Right.OVERWRITE}, on_conflict=OnConflict.REFUSE).refuse_replacing
    )
    assert isinstance(error, PermissionDenied)
    assert error.rule == "missing right: overwrite"


# ── rules above and below ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_rule_leaves_unset_comes_from_above_and_what_it_sets_does_not(field: str) -> None:
    one = AccessRules(**{field: getattr(BELOW, field)}).below(ABOVE)
    assert {name: getattr(one, name) for name in FIELDS} == {
        name: getattr(BELOW if name == field else ABOVE, name) for name in FIELDS
    }


def test_a_rule_may_set_what_counts_as_nothing() -> None:
    nothing = AccessRules(frozenset(), (), (), (), 0, OnConflict.OVERWRITE).below(ABOVE)
    assert nothing == AppliedRules(frozenset())


def test_rights_are_capped_and_nothing_else_is() -> None:
    capped = ABOVE.capped(READ_ONLY | {Right.WRITE})
    assert capped == ABOVE
    assert ABOVE.capped(frozenset({Right.READ})) == replace(ABOVE, rights=frozenset())
    assert AppliedRules().capped(READ_ONLY) == AppliedRules(READ_ONLY)


@pytest.mark.parametrize(
    ("here", "there", "narrower"),
    [(0, 0, False), (0, 5, False), (5, 0, True), (5, 5, False), (5, 6, True), (6, 5, False), (1, 0, True)],
)
def test_rules_are_narrower_if_a_file_may_be_too_large_for_them(
    here: int, there: int, narrower: bool
) -> None:
    assert AppliedRules(max_file_bytes=here).is_narrower(AppliedRules(max_file_bytes=there)) is narrower


def tree(
    *rules: tuple[str, AccessRules], root: AppliedRules = ALLOWING, most: Rights = ALL_RIGHTS
) -> RuleTree:
    return RuleTree(root, [(path(at), rule) for at, rule in rules], most=most)


def limit(bytes_: int) -> AccessRules:
    return AccessRules(max_file_bytes=bytes_)


def test_the_rules_of_the_longest_matching_path_apply() -> None:
    rules = tree(("/a/b/c", limit(3)), ("/a", limit(1)), ("/x", limit(9)))
    limits = {
        text: rules.at(path(text)).max_file_bytes
        for text in ("/", "/ab", "/a", "/a/b", "/a/b/c", "/a/b/c/d/e", "/a/x/c", "/x/a/b/c", "/b/c")
    }
    assert limits == {
        "/": 0,
        "/ab": 0,
        "/a": 1,
        "/a/b": 1,
        "/a/b/c": 3,
        "/a/b/c/d/e": 3,
        "/a/x/c": 1,
        "/x/a/b/c": 9,
        "/b/c": 0,
    }


def test_a_rule_is_completed_by_those_above_it_in_whatever_order_they_are_written() -> None:
    above, below = ("/a", AccessRules(deny=("*.exe",))), ("/a/b", limit(3))
    for rules in (tree(above, below), tree(below, above)):
        assert rules.at(path("/a/b/f")) == AppliedRules(deny=("*.exe",), max_file_bytes=3)


def test_no_rule_gives_more_than_the_rights_that_there_may_be() -> None:
    rules = tree(("/a", AccessRules(ALL_RIGHTS)), ("/b", limit(1)), most=READ_ONLY)
    assert [rules.at(path(text)).rights for text in ("/", "/a", "/b")] == [READ_ONLY] * 3
    without = tree(("/a", AccessRules(READ_ONLY)))
    assert [without.at(path(text)).rights for text in ("/", "/a")] == [ALL_RIGHTS, READ_ONLY]


def test_a_rule_for_a_directory_decides_about_names_in_it_and_not_about_its_own() -> None:
    rules = tree(("/in", limit(1)), ("/in/x", limit(2)))
    assert [rules.names_at(path(text)).max_file_bytes for text in ("/", "/in", "/in/x", "/in/x/f")] == [
        0,
        0,
        1,
        2,
    ]
    along = [[each.max_file_bytes for each in rules.along(path(text))] for text in ("/", "/in", "/in/x/f/g")]
    assert along == [[], [0], [0, 1, 2, 2]]


def test_along_a_path_the_rules_are_those_of_each_directory() -> None:
    rules = tree(("/a", limit(1)), ("/a/b/c", limit(3)))
    for text in ("/a/b/c/d/e", "/a/x/c/d", "/b/b/c/d", "/a"):
        names = path(text).names
        expected = [rules.at(VirtualPath(names[:depth])) for depth in range(len(names))]
        assert list(rules.along(path(text))) == expected


def test_where_rules_begin_below_a_path() -> None:
    rules = tree(("/a", limit(1)), ("/a/b", limit(2)), ("/a/b/c", limit(3)), ("/x", limit(4)))
    assert set(rules.below(path("/"))) == {(b"a",), (b"a", b"b"), (b"a", b"b", b"c"), (b"x",)}
    assert set(rules.below(path("/a"))) == {(b"b",), (b"b", b"c")}
    assert set(rules.below(path("/a/b/c"))) == set(rules.below(path("/b"))) == set()


def test_a_rule_that_says_nothing_is_none() -> None:
    assert list(tree(("/a", AccessRules())).below(path("/"))) == []
    assert tree(("/a", AccessRules())) == tree()
    assert tree(("/a", limit(1))) != tree()
    assert tree() != AppliedRules()


def test_whether_any_names_are_hidden_anywhere() -> None:
    hidden = AccessRules(hide=(".*",))
    assert not tree(("/a", limit(1))).hide_anything
    assert tree(("/a", hidden), ("/b", limit(1))).hide_anything
    assert tree(root=AppliedRules(hide=(".*",))).hide_anything


def test_a_file_that_may_get_a_number_has_to_be_small_enough_for_its_directory() -> None:
    def most_bytes(on_conflict: OnConflict, at_file: int, beside: int) -> int:
        root = AppliedRules(max_file_bytes=beside, on_conflict=on_conflict)
        return tree(("/f", limit(at_file)), root=root).for_storing(path("/f")).max_file_bytes

    assert most_bytes(OnConflict.KEEP_BOTH, 10, 5) == 5
    assert most_bytes(OnConflict.KEEP_BOTH, 0, 5) == 5
    assert most_bytes(OnConflict.KEEP_BOTH, 5, 10) == 5
    assert most_bytes(OnConflict.KEEP_BOTH, 5, 0) == 5
    assert most_bytes(OnConflict.OVERWRITE, 10, 5) == 10
    assert most_bytes(OnConflict.REFUSE, 10, 5) == 10
    kept = tree(("/f", AccessRules(READ_ONLY, max_file_bytes=10)), root=AppliedRules(max_file_bytes=5))
    assert kept.for_storing(path("/f")) == AppliedRules(READ_ONLY, max_file_bytes=10)
    both = AppliedRules(max_file_bytes=5, on_conflict=OnConflict.KEEP_BOTH)
    rules = tree(("/f", AccessRules(READ_ONLY, max_file_bytes=10)), root=both).for_storing(path("/f"))
    assert rules == AppliedRules(READ_ONLY, max_file_bytes=5, on_conflict=OnConflict.KEEP_BOTH)


# ── names ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.csv", b"a.csv", True),
        ("*.csv", b"A.CSV", True),
        ("*.csv", b"a.csv.gz", False),
        ("*.csv", b"xcsv", False),
        ("a?", b"a\xff", True),
        ("a?", b"a\xff\xff", False),
        ("a?", "aü".encode(), True),
    ],
)
def test_patterns_are_those_of_a_shell_whatever_the_case_and_the_bytes(
    pattern: str, name: bytes, matches: bool
) -> None:
    assert AppliedRules(hide=("nothing", pattern)).hides(name) is matches
    assert AppliedRules(deny=("nothing", pattern)).accepts(name) is not matches
    assert AppliedRules(allow=("nothing", pattern)).accepts(name) is matches


def test_without_patterns_every_name_is_accepted_and_none_is_hidden() -> None:
    rules = AppliedRules()
    assert rules.accepts(b"f")
    assert not rules.hides(b"f")
    rules.refuse_file_name(b"f")
    rules.refuse_hidden(b"f")
    assert not rules.has_patterns
    assert all(AppliedRules(**{kind: ("x",)}).has_patterns for kind in ("allow", "deny", "hide"))  # type: ignore[arg-type]


def test_a_hidden_name_does_not_exist_and_the_log_has_the_pattern() -> None:
    rules = AppliedRules(deny=("b*",), hide=("x*", "a*"))
    rules.refuse_hidden(b"b")
    error = refused(lambda: rules.refuse_hidden(b"a"))
    assert isinstance(error, NotFound)
    assert error.rule == "hide: a*"


def test_a_name_that_is_denied_or_not_allowed_is_refused_and_the_log_has_the_rule() -> None:
    rules = AppliedRules(allow=("a*", "b*"), deny=("x*", "*.exe"))
    rules.refuse_file_name(b"b.csv")
    for name, rule in ((b"a.exe", "deny: *.exe"), (b"c", "allow: a*, b*")):
        error = refused(partial(rules.refuse_file_name, name))
        assert isinstance(error, PermissionDenied)
        assert (str(error), error.rule) == ("files with such a name are not accepted here", rule)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("*.csv", None),
        ("x" * 200, None),
        ("*?" * 8, None),
        ("", "pattern '' should match a name, such as '*.csv'; names have no slashes"),
        ("in/*.csv", "pattern 'in/*.csv' should match a name, such as '*.csv'; names have no slashes"),
        ("a\0", r"pattern 'a\x00' should match a name, such as '*.csv'; names have no slashes"),
        ("/" * 50, f"pattern '{'/' * 40}' should match a name, such as '*.csv'; names have no slashes"),
        ("x" * 201, f"pattern '{'x' * 40}'… is longer than 200 characters"),
        ("*?" * 9, "pattern '*?*?*?*?*?*?*?*?*?' has more than 8 '*'"),
        ("*?" * 9 + "x" * 50, f"pattern '{'*?' * 9}{'x' * 22}' has more than 8 '*'"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_what_would_be_right(
    pattern: str, problem: str | None
) -> None:
    assert pattern_problem(pattern) == problem
