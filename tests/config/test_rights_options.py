"""Rights and mounts in a configuration: what they become, and what is wrong with one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3sftp.app.options import load_options
from s3sftp.auth import Identity, UserOptions, identity_of
from s3sftp.errors import ConfigurationError
from s3sftp.fs import AccessRules, Mount, OnConflict, Right, VirtualPath

START = """
[s3]
bucket = "b"
[users.acme]
authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"]
"""


def load(tmp_path: Path, text: str) -> UserOptions:
    file = tmp_path / "s3sftp.toml"
    file.write_text(START + text, "utf-8")
    return load_options(file, {}).users["acme"]


def identity(tmp_path: Path, text: str) -> Identity:
    return identity_of("acme", load(tmp_path, text))


def test_rights_are_a_preset_or_single_rights_or_both(tmp_path: Path) -> None:
    for text in ('"drop-box, mkdir"', '["drop-box", "mkdir"]', '["write", "mkdir"]'):
        assert load(tmp_path, f"rights = {text}").rules.rights == {Right.WRITE, Right.MKDIR}
    assert load(tmp_path, "rights = []").rules.rights == frozenset()
    assert load(tmp_path, "").rules == AccessRules()


def test_mounts_and_paths_are_part_of_the_identity(tmp_path: Path) -> None:
    found = identity(
        tmp_path,
        """
        [users.acme.mounts."/in"]
        prefix = "{user}/in/"
        rights = "drop-box"
        on_conflict = "keep-both"
        [users.acme.mounts."/rates.csv"]
        prefix = "rates/today.csv"
        file = true
        [users.acme.paths."/in/large"]
        max_file_bytes = "8 MiB"
        """,
    )
    in_rules = AccessRules(frozenset({Right.WRITE}), on_conflict=OnConflict.KEEP_BOTH)
    assert found.prefix is None, "the root lists the mounts"
    assert found.mounts == (
        Mount("/in", "acme/in/", rules=in_rules),
        Mount("/rates.csv", "rates/today.csv", file=True),
    )
    assert found.paths == (("/in/large", AccessRules(max_file_bytes=8 << 20)),)
    below = found.tree().rules.at(VirtualPath.parse(b"/in/large/f"))
    assert (below.rights, below.max_file_bytes) == ({Right.WRITE}, 8 << 20)


def test_a_prefix_that_is_given_is_the_root_beside_the_mounts(tmp_path: Path) -> None:
    mount = '[users.acme.mounts."/in"]\nprefix = "acme/in/"\n'
    assert identity(tmp_path, 'prefix = "{user}/"\n' + mount).prefix == "acme/"
    assert identity(tmp_path, mount).prefix is None
    assert identity(tmp_path, "").prefix == "acme/"


def test_an_identity_of_an_application_needs_none_of_it() -> None:
    tree = Identity("bob", "bob/", False, ("in",)).tree()
    assert tree.rules.at(VirtualPath.parse(b"/f")).rights == frozenset(Right)
    assert Identity("bob").prefix == ""


MOUNT = '[users.acme.mounts."/in"]\nprefix = "acme/in/"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('rights = "drop-bx"', "users.acme.rights"),
        ('rights = ["wirte"]', "'wirte' is neither a preset nor a right; those are read-write, read-only"),
        ('on_conflict = "rename"', "users.acme.on_conflict"),
        ('max_file_bytes = "8 MB"', "users.acme.max_file_bytes"),
        ("max_file_bytes = -1", "users.acme.max_file_bytes"),
        ('deny = ["a/b"]', "users.acme.deny"),
        ('hide = ["*a*b*c*d*e*f*g*h*i*"]', "more than 8 '*'"),
        ('read_only = true\nrights = "read-write"', "read_only and rights exclude each other"),
        ('read_only = true\n[users.acme.paths."/x"]\nrights = "drop-box"', "read_only and rights exclude"),
        ('[users.acme.mounts."/in"]\nrights = "drop-box"', "users.acme.mounts./in.prefix"),
        (MOUNT + 'right = "drop-box"', "users.acme.mounts./in.right"),
        (MOUNT + '[users.acme.mounts."/in/"]\nprefix = "x/"', "): mount '/in' is there twice"),
        (
            MOUNT + '[users.acme.mounts."/new"]\nprefix = "acme/in/new/"',
            "): mounts '/in' and '/new' overlap",
        ),
        (
            'prefix = "acme/"\n[users.acme.mounts."/new"]\nprefix = "acme/in/"',
            "mounts '/' and '/new' overlap",
        ),
        ('[users.acme.mounts."/x"]\nprefix = "acme/../b/"', "'..' is not a usable name"),
        ('[users.acme.mounts."/x"]\nprefix = "{name}/"', "should have no braces but those of {user}"),
        (
            '[users.acme.mounts."/x"]\nprefix = ".s3sftp/x/"',
            "line 6): .s3sftp is the server's own",
        ),
        ('[users.acme.paths."/x/../y"]\nrights = "read-only"', "path '/x/../y': '..' is not a usable name"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, text)
    (found,) = refused.value.problems
    assert problem in found
