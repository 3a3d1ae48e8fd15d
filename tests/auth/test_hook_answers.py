"""What an answer of the hook makes of a login. The answers of AWS's samples are those of its user guide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncssh
import pytest

from s3sftp.auth import Account, Identity, UserOptions, read_logins
from s3sftp.auth.hook import HookOptions
from s3sftp.auth.hook.answers import AnswerReader
from s3sftp.auth.hook.requests import Question
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes
from s3sftp.backends import MountRole
from s3sftp.fs import Mount, VirtualPath

KEY = asyncssh.generate_private_key("ssh-ed25519")
LINE = KEY.export_public_key().decode().strip()
URL = "https://hook.example.com/"
ROLE = "arn:aws:iam::123456789012:role/transfer-access-role"
LAX = HookOptions(url=URL, role="ignore", policy="ignore")
HOME = UserHomes("amzn-s3-demo-bucket", "", ".s3sftp")
BY_PASSWORD = Question("bob", "192.0.2.1", "secret")
BY_KEY = Question("bob", "192.0.2.1")
ENFORCED: Mapping[str, object] = {
    "allow": ["*.csv"],
    "attributes": {"tenant": "7"},
    "authorized_keys": [LINE],
    "deny": ["*.exe"],
    "directories": ["inbox"],
    "disabled": True,
    "expires": "2027-01-31",
    "hide": ["secret*"],
    "hours": ["Mon-Fri 07:00-19:00 Europe/Berlin"],
    "limits": {"max_sessions": 2, "upload_bytes_per_second": "1 MiB"},
    "max_file_bytes": 1000,
    "mounts": {"/pics": {"prefix": "pics/{user}/", "rights": "read-only"}},
    "networks": ["192.0.2.0/24"],
    "on_conflict": "refuse",
    "paths": {"/out": {"rights": "pick-up"}},
    "prefix": "partners/{user}",
    "quota": {"bytes": "50 GiB", "files": 10_000},
    "read_only": True,
    "rights": "drop-box",
}
"""An example of each option that a login by the hook enforces."""


def account(
    answer: object, options: HookOptions = LAX, home: UserHomes = HOME, question: Question = BY_PASSWORD
) -> Account | None:
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return AnswerReader(options, home).account(question, data)[0]


def prefix(answer: object, home: UserHomes = HOME) -> str | None:
    found = account(answer, home=home)
    assert found is not None
    return found.identity.prefix


def problem(answer: object, options: HookOptions = LAX, home: UserHomes = HOME) -> str:
    with pytest.raises(AnswerProblem) as caught:
        account(answer, options, home)
    return str(caught.value)


def logical(*entries: object) -> dict[str, Any]:
    """As AWS's Lambda sample in Python answers."""
    return {
        "Role": ROLE,
        "HomeDirectoryType": "LOGICAL",
        "HomeDirectoryDetails": json.dumps(list(entries)),
        "HomeDirectory": "/ignored",
    }


# ── AWS Transfer Family ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Role": ""},
        {"Role": None},
        {"Role": "  ", "HomeDirectory": "/amzn-s3-demo-bucket/bob"},
        {"message": "Unauthorized"},
        {"PublicKeys": [LINE], "HomeDirectory": "/amzn-s3-demo-bucket/bob"},
    ],
)
def test_an_answer_without_a_role_refuses_as_it_does_at_aws(answer: object) -> None:
    assert account(answer) is None


def test_the_directory_details_of_aws_samples_become_the_root() -> None:
    entry = {"Entry": "/", "Target": "/amzn-s3-demo-bucket/home/bob"}
    assert prefix(logical(entry)) == "home/bob/"
    assert prefix(logical(entry | {"Type": "DIRECTORY"})) == "home/bob/"


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("/amzn-s3-demo-bucket/bob", "bob/"),
        ("/amzn-s3-demo-bucket/a/b/", "a/b/"),
        ("/amzn-s3-demo-bucket", ""),
        ("/amzn-s3-demo-bucket/", ""),
    ],
)
def test_a_home_directory_becomes_the_root(home: str, expected: str) -> None:
    assert prefix({"Role": ROLE, "HomeDirectory": home}) == expected
    assert prefix({"Role": ROLE, "HomeDirectory": home, "HomeDirectoryType": "PATH"}) == expected


def test_the_home_directory_is_taken_below_the_prefix_of_the_storage() -> None:
    home = UserHomes("amzn-s3-demo-bucket", "partners/")
    assert prefix({"Role": ROLE, "HomeDirectory": "/amzn-s3-demo-bucket/partners/bob"}, home) == "bob/"
    said = problem({"Role": ROLE, "HomeDirectory": "/amzn-s3-demo-bucket/partners2/bob"}, home=home)
    assert "is not below s3.prefix" in said


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("/", "should be a directory like"),
        ("", "should be a directory like"),
        ("amzn-s3-demo-bucket/bob", "should be a directory like"),
        ("/other/bob", "is not in the bucket amzn-s3-demo-bucket"),
        ("/amzn-s3-demo-bucket/../other", "none of them '.' or '..'"),
        ("/amzn-s3-demo-bucket//bob", "single slashes"),
        ("/amzn-s3-demo-bucket/a\0b", "printable"),
        ("/amzn-s3-demo-bucket/{user}", "no braces"),
        ("/amzn-s3-demo-bucket/.s3sftp/x", "the server's own"),
    ],
)
def test_a_home_directory_that_is_none_is_refused_with_the_reason(home: str, expected: str) -> None:
    assert expected in problem({"Role": ROLE, "HomeDirectory": home})
    assert expected in problem(logical({"Entry": "/", "Target": home}))


def test_a_role_is_refused_unless_the_operator_says_that_it_may_be_ignored() -> None:
    answer = {"Role": ROLE, "HomeDirectory": "/amzn-s3-demo-bucket/bob"}
    assert 'hook.role = "ignore"' in problem(answer, HookOptions(url=URL))


ASSUMING = HookOptions(url=URL, role="assume", policy="ignore")
ALLOWING = replace(HOME, roles={"": ["arn:aws:iam::123456789012:role/transfer-*"]})


def test_a_role_is_assumed_for_the_whole_home_directory_if_the_operator_says_so() -> None:
    found = account({"Role": ROLE, "HomeDirectory": "/amzn-s3-demo-bucket/bob"}, ASSUMING, ALLOWING)
    assert found is not None
    assert found.identity.prefix is None
    assert found.identity.mounts == (Mount("/", "bob/", role=MountRole(ROLE)),)


def test_a_role_is_assumed_for_every_logical_directory() -> None:
    home = replace(ALLOWING, storages={"archive": ("old", "")}, roles={"": [ROLE], "archive": [ROLE]})
    answer = logical(
        {"Entry": "/", "Target": "/amzn-s3-demo-bucket/bob"},
        {"Entry": "/old", "Target": "/old/bob"},
        {"Entry": "/f.csv", "Target": "/amzn-s3-demo-bucket/shared/f.csv", "Type": "FILE"},
    )
    found = account(answer, ASSUMING, home)
    assert found is not None
    tree = found.identity.tree()
    assert {(mount.path.text, mount.place.storage) for mount in tree.mounted} == {
        ("/", ""),
        ("/old", "archive"),
        ("/f.csv", ""),
    }
    assert {mount.role for mount in tree.mounted} == {MountRole(ROLE)}


@pytest.mark.parametrize(
    ("role", "home", "said"),
    [
        (ROLE, HOME, None),
        (ROLE, replace(HOME, roles={"": []}), "s3.mount_roles does not have this role"),
        ("arn:aws:iam::123456789012:role/admin", ALLOWING, "s3.mount_roles does not have this role"),
        ("transfer-access-role", ALLOWING, "Role: should be the ARN of a role"),
        ("arn:aws:iam::123456789012:role/transfer-{user}", ALLOWING, "Role: should be the ARN of a role"),
    ],
)
def test_a_role_that_is_not_for_mounts_is_refused(role: str, home: UserHomes, said: str | None) -> None:
    answer = {"Role": role, "HomeDirectory": "/amzn-s3-demo-bucket/bob"}
    if said is None:  # storages that are no buckets of this server refuse at the session
        assert account(answer, ASSUMING, home) is not None
    else:
        assert said in problem(answer, ASSUMING, home)


def test_a_mount_of_our_own_form_may_have_a_role_that_the_storage_allows() -> None:
    mount = {"prefix": "in/{user}/", "role_arn": ROLE, "external_id": "{user}-7f3c"}
    answer = {"authenticated": True, "user": {"mounts": {"/in": mount}}}
    found = account(answer, home=ALLOWING)
    assert found is not None
    assert found.identity.mounts == (Mount("/in", "in/bob/", role=MountRole(ROLE, "bob-7f3c")),)
    assert "mount_roles does not have this role" in problem(answer, home=replace(HOME, roles={"": []}))


def test_a_policy_is_refused_unless_the_operator_says_that_it_may_be_ignored() -> None:
    answer = {
        "Role": ROLE,
        "Policy": '{"Version": "2012-10-17"}',
        "HomeDirectory": "/amzn-s3-demo-bucket/bob",
    }
    assert 'hook.policy = "ignore"' in problem(answer, HookOptions(url=URL, role="ignore"))
    assert account(answer) is not None


def test_the_keys_of_an_answer_are_the_user_s() -> None:
    answer = {"Role": ROLE, "HomeDirectory": "/amzn-s3-demo-bucket/bob", "PublicKeys": [LINE, ""]}
    found = account(answer, question=BY_KEY)
    assert found is not None
    assert len(found.keys) == 1


@pytest.mark.parametrize("has_root", [True, False])
def test_logical_directories_become_mounts(has_root: bool) -> None:
    entries = [
        {"Entry": "/pics", "Target": "/amzn-s3-demo-bucket/pics/bob"},
        {"Entry": "/rates.csv", "Target": "/amzn-s3-demo-bucket/shared/rates.csv", "Type": "FILE"},
    ]
    root = {"Entry": "/", "Target": "/amzn-s3-demo-bucket/home/bob"}
    found = account(logical(*entries, *([root] if has_root else [])))
    assert found is not None
    assert found.identity.prefix == ("home/bob/" if has_root else None)
    assert found.identity.mounts == (
        Mount("/pics", "pics/bob/"),
        Mount("/rates.csv", "shared/rates.csv", file=True),
    )


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "has no entry"),
        ([{"Entry": "inbox", "Target": "/amzn-s3-demo-bucket/in"}], "should begin with '/'"),
        ([{"Entry": "/a", "Target": "/amzn-s3-demo-bucket/a"}] * 2, "be there once"),
        (
            [
                {"Entry": "/a", "Target": "/amzn-s3-demo-bucket/a"},
                {"Entry": "/a/", "Target": "/amzn-s3-demo-bucket/b"},
            ],
            "is there twice",
        ),
        ([{"Entry": "/../b", "Target": "/amzn-s3-demo-bucket/a"}], "'..' is not a usable name"),
        ([{"Entry": "/a", "Target": "/amzn-s3-demo-bucket/../b"}], "'..' is not a usable name"),
        ([{"Entry": "/a", "Target": "/amzn-s3-demo-bucket/.s3sftp/x"}], "the server's own"),
        (
            [{"Entry": "/a", "Target": "/amzn-s3-demo-bucket/.s3sftp", "Type": "FILE"}],
            "the server's own",
        ),
        (
            [{"Entry": "/", "Target": "/amzn-s3-demo-bucket/a", "Type": "FILE"}],
            "the root cannot be a single file",
        ),
        ([{"Entry": "/a", "Target": "/amzn-s3-demo-bucket", "Type": "FILE"}], "should be the key of a file"),
        (
            [
                {"Entry": "/", "Target": "/amzn-s3-demo-bucket/a"},
                {"Entry": "/c", "Target": "/amzn-s3-demo-bucket/a/b"},
            ],
            "a file must have one name",
        ),
    ],
)
def test_logical_directories_that_cannot_be_used_are_refused(entries: list[object], expected: str) -> None:
    assert expected in problem(logical(*entries))


def test_logical_directories_are_taken_below_the_prefix_of_the_storage() -> None:
    home = UserHomes("amzn-s3-demo-bucket", "partners/")
    found = account(logical({"Entry": "/in", "Target": "/amzn-s3-demo-bucket/partners/bob"}), home=home)
    assert found is not None
    assert found.identity.mounts == (Mount("/in", "bob/"),)
    outside = {"Entry": "/in", "Target": "/amzn-s3-demo-bucket/others/bob", "Type": "FILE"}
    assert "is not below s3.prefix" in problem(logical(outside), home=home)


# ── our own form ──────────────────────────────────────────────────────────────────────────────────────


def test_a_table_like_that_of_a_configured_user_is_the_user() -> None:
    table = {
        "prefix": "partners/{user}",
        "read_only": True,
        "directories": ["inbox"],
        "attributes": {"tenant": "7"},
        "authorized_keys": [LINE],
    }
    found = account({"authenticated": True, "user": table})
    assert found is not None
    assert found.identity == Identity("bob", "partners/bob/", True, ("inbox",), {"tenant": "7"})
    assert len(found.keys) == 1


@pytest.mark.parametrize("name", sorted(ENFORCED))
def test_an_option_of_an_answer_does_what_it_does_in_the_configuration(name: str) -> None:
    options = UserOptions(**{name: ENFORCED[name]})
    configured = read_logins({"bob": options}).accounts["bob"]
    assert account({"authenticated": True, "user": {name: ENFORCED[name]}}) == configured
    assert configured != read_logins({"bob": UserOptions()}).accounts["bob"]


def test_a_tree_that_cannot_be_used_is_refused_with_the_reason() -> None:
    def said(**table: object) -> str:
        return problem({"authenticated": True, "user": table})

    assert "the server's own" in said(mounts={"/in": {"prefix": ".s3sftp/x"}})
    assert "'..' is not a usable name" in said(mounts={"/in": {"prefix": "a/../b"}})
    assert "'..' is not a usable name" in said(directories=["../x"])
    assert "user.hours" in said(hours=["whenever"])


@pytest.mark.parametrize("more", [{}, {"authenticated": False}])
def test_a_table_alone_accepts_no_password(more: dict[str, object]) -> None:
    assert account({"user": {"authorized_keys": [LINE]}, **more}) is None
    assert account({"user": {"authorized_keys": [LINE]}, **more}, question=BY_KEY) is not None


@pytest.mark.parametrize("name", [*sorted(UserOptions.model_fields.keys() - ENFORCED), "no_such_option"])
def test_an_option_that_a_login_by_the_hook_would_not_enforce_is_refused(name: str) -> None:
    said = problem({"authenticated": True, "user": {name: "/etc/passwd"}})
    assert f"user: may not have {name}" in said
    assert "passwd" not in said


# ── wrong ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 30_000, "it is not JSON"),
        ([], "should be a JSON object"),
        ("arn:aws:iam::1:role/x", "should be a JSON object"),
        (None, "should be a JSON object"),
        ({"Role": 1}, "Role"),
        ({"Role": [ROLE]}, "Role"),
        ({"Role": ROLE, "Policy": {"Version": "2012-10-17"}}, "Policy"),
        ({"Role": ROLE, "HomeDirectory": 7}, "HomeDirectory"),
        ({"Role": ROLE, "HomeDirectoryType": "CHROOT"}, "HomeDirectoryType"),
        ({"Role": ROLE, "PublicKeys": LINE}, "PublicKeys"),
        ({"Role": ROLE, "PublicKeys": [7]}, "PublicKeys.0"),
        ({"Role": ROLE, "HomeDirectoryDetails": [{"Entry": "/"}]}, "HomeDirectoryDetails"),
        ({"Role": ROLE, "HomeDirectoryDetails": "nonsense"}, "should be a text of JSON"),
        ({"Role": ROLE, "HomeDirectoryDetails": "{}"}, "HomeDirectoryDetails"),
        ({"Role": ROLE, "HomeDirectoryDetails": '[{"Entry": "/"}]'}, "Target is missing"),
        ({"Role": ROLE, "HomeDirectoryType": "LOGICAL"}, "should be a text of JSON"),
        ({"Role": ROLE, "HomeDirectoryType": "PATH", "HomeDirectoryDetails": "[]"}, "not PATH"),
        ({"authenticated": "yes", "user": {}}, "should be true or false"),
        ({"authenticated": True}, "should be a table"),
        ({"authenticated": True, "user": []}, "should be a table"),
        ({"authenticated": True, "user": {"prefix": "../x"}}, "user.prefix"),
        ({"authenticated": True, "user": {"prefix": ".s3sftp"}}, "the server's own"),
        ({"authenticated": True, "user": {}, "Role": ROLE}, "not Role"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_field_and_what_would_be_right(
    answer: object, expected: str
) -> None:
    assert expected in problem(answer)


def test_without_a_bucket_only_the_own_form_says_where_files_are() -> None:
    said = problem({"Role": ROLE, "HomeDirectory": "/b/x"}, home=UserHomes(""))
    assert "user.prefix" in said
    assert account({"authenticated": True, "user": {}}, home=UserHomes("")) is not None


def test_a_mount_is_in_a_storage_that_is_configured() -> None:
    answer = {
        "authenticated": True,
        "user": {"mounts": {"/old": {"prefix": "bob/", "storage": "archive"}}},
    }
    home = replace(HOME, storages={"archive": ("old", "")})
    found = account(answer, home=home)
    assert found is not None
    assert found.identity.tree().storages == {"archive"}
    assert "mount '/old': there is no storage 'archive'" in problem(answer)


STORAGES = {"archive": ("old", "top/"), "other": ("shared", "a/"), "third": ("shared", "b/")}


@pytest.mark.parametrize(
    ("home", "storage", "key"),
    [
        ("/amzn-s3-demo-bucket/bob", "", b"bob"),
        ("/old/top/bob", "archive", b"bob"),
        ("/old/top", "archive", b""),
        ("/shared/b/bob", "third", b"bob"),
    ],
)
def test_a_directory_of_transfer_family_is_in_the_storage_of_its_bucket(
    home: str, storage: str, key: bytes
) -> None:
    where = replace(HOME, storages=STORAGES)
    details = [{"Entry": "/", "Target": home}]
    for answer in (
        {"Role": ROLE, "HomeDirectory": home},
        {"Role": ROLE, "HomeDirectoryType": "LOGICAL", "HomeDirectoryDetails": json.dumps(details)},
    ):
        found = account(answer, home=where)
        assert found is not None
        place = found.identity.tree().place_to_look_at(VirtualPath.parse(b"/"))
        assert (place.storage, place.key) == (storage, key)


@pytest.mark.parametrize("home", ["/none/bob", "/old/bob", "/shared/c/bob", "/old/top/{x}", "old/top/bob"])
def test_a_directory_in_the_bucket_of_no_storage_is_refused(home: str) -> None:
    where = replace(HOME, storages=STORAGES)
    assert problem({"Role": ROLE, "HomeDirectory": home}, home=where).startswith("HomeDirectory: ")
