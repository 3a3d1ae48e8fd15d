"""What became of a change, by what is stored now."""

from __future__ import annotations

import pytest

from s3sftp.backends import Place
from s3sftp.events.outbox.entries import Check
from s3sftp.events.outbox.settling import Found, Verdict, settle

A, B = Place((b"a",)), Place((b"b",))
COMMIT = Check("commit", A, mark="m", size=3)
REMOVAL = Check("remove", A, version='"v"', size=3)
RENAME = Check("rename", A, B, version='"v"', size=3)
TREE = Check("rename_directory", A, B)
NOTED = 1000.5


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Found("m", '"x"', 3, 1000.0), Verdict.HAPPENED),
        (Found("other", '"x"', 3, 1000.0), Verdict.UNKNOWN),
        (Found("other", '"x"', 3, 999.0), Verdict.NOT),
        (Found("other", '"x-2"', 3, 999.0), Verdict.UNKNOWN),  # perhaps the time at which its upload began
        (Found(None, None, 3, 999.0), Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
    ],
)
def test_a_commit_is_known_by_its_mark_and_excluded_by_an_older_file(
    found: Found | None, verdict: Verdict
) -> None:
    assert settle(COMMIT, found, None, NOTED) is verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, Verdict.HAPPENED),
        (Found("m", '"v"', 3, 999.0), Verdict.NOT),
        (Found("m", '"w"', 3, 999.0), Verdict.NOT),
        (Found("m", '"w"', 3, 1002.0), Verdict.UNKNOWN),
        (Found("m", '"v"', 3, 1002.0), Verdict.UNKNOWN),  # the same content, stored again
    ],
)
def test_a_removal_happened_if_nothing_is_there(found: Found | None, verdict: Verdict) -> None:
    assert settle(REMOVAL, found, None, NOTED) is verdict


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        (None, Found("m", '"v"', 3, 1001.0), Verdict.HAPPENED),
        (Found("m", '"v"', 3, 900.0), Found("m", '"v"', 3, 1001.0), Verdict.HAPPENED),
        (Found("m", '"v"', 3, 900.0), Found("m", '"w"', 3, 1001.0), Verdict.UNKNOWN),
        (Found("m", '"v"', 3, 900.0), Found("m", '"w"', 9, 1001.0), Verdict.NOT),
        (Found("m", '"v"', 3, 900.0), Found("m", '"v"', 3, 900.0), Verdict.NOT),
        (Found("m", '"v"', 3, 900.0), None, Verdict.NOT),
        (Found("m", '"n"', 3, 1001.0), None, Verdict.UNKNOWN),
        (None, None, Verdict.UNKNOWN),
    ],
)
def test_a_rename_happened_if_its_target_is_published(
    source: Found | None, target: Found | None, verdict: Verdict
) -> None:
    assert settle(RENAME, source, target, NOTED) is verdict


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        (None, Found(is_dir=True), Verdict.HAPPENED),
        (Found(is_dir=True), Found(is_dir=True), Verdict.UNKNOWN),
        (Found(is_dir=True), None, Verdict.NOT),
        (None, None, Verdict.UNKNOWN),
    ],
)
def test_a_tree_was_renamed_if_only_its_target_is_there(
    source: Found | None, target: Found | None, verdict: Verdict
) -> None:
    assert settle(TREE, source, target, NOTED) is verdict


@pytest.mark.parametrize(
    ("check", "source", "target", "alone", "elsewhere"),
    [
        (COMMIT, Found("other", '"x"', 3, 999.0), None, Verdict.NOT, Verdict.UNKNOWN),
        (COMMIT, Found("other", '"x"', 3, 600.0), None, Verdict.NOT, Verdict.NOT),
        (COMMIT, Found("m", '"x"', 3, 999.0), None, Verdict.HAPPENED, Verdict.HAPPENED),
        (REMOVAL, Found("m", '"v"', 3, 999.0), None, Verdict.NOT, Verdict.UNKNOWN),
        (REMOVAL, Found("m", '"v"', 3, 600.0), None, Verdict.NOT, Verdict.NOT),
        (REMOVAL, None, None, Verdict.HAPPENED, Verdict.HAPPENED),
        (RENAME, Found("m", '"v"', 3, 600.0), Found("m", '"v"', 3, 900.0), Verdict.NOT, Verdict.UNKNOWN),
        (
            RENAME,
            Found("m", '"v"', 3, 600.0),
            Found("m", '"v"', 3, 1400.0),
            Verdict.HAPPENED,
            Verdict.HAPPENED,
        ),
        (RENAME, None, Found("m", '"v"', 3, 1001.0), Verdict.HAPPENED, Verdict.UNKNOWN),
    ],
)
def test_what_depends_on_the_clocks_of_two_stores_is_unknown(
    check: Check, source: Found | None, target: Found | None, alone: Verdict, elsewhere: Verdict
) -> None:
    assert settle(check, source, target, NOTED) is alone
    assert settle(check, source, target, NOTED, 300.0) is elsewhere
