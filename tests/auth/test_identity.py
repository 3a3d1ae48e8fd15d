"""An identity builds its tree once, and is in nothing else changed by that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3sftp.auth import Identity
from s3sftp.errors import ConfigurationError
from s3sftp.fs import Mount


def test_the_tree_is_built_once() -> None:
    identity = Identity("alice", "acme/", mounts=(Mount("/in", "other/"),))
    assert identity.tree() is identity.tree()


def test_a_changed_identity_has_a_tree_of_its_own() -> None:
    identity = Identity("alice", "acme/")
    before = identity.tree()
    changed = replace(identity, prefix="other/")
    assert changed.tree() != before
    assert changed.tree() == Identity("alice", "other/").tree()


def test_the_tree_counts_neither_for_equality_nor_for_what_is_shown() -> None:
    one, other = Identity("alice", "acme/"), Identity("alice", "acme/")
    shown = repr(one)
    one.tree()
    assert one == other
    assert repr(one) == shown


def test_a_tree_that_cannot_be_used_is_an_error_each_time() -> None:
    identity = Identity("alice", "/acme/")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            identity.tree()
