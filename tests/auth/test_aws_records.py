"""What an item of DynamoDB and a secret mean: accounts, or the reason why there is none."""

from __future__ import annotations

import json
from typing import Any

import asyncssh
import pytest

from s3sftp.auth import Account
from s3sftp.auth.aws import SecretsManagerOptions
from s3sftp.auth.aws.dynamodb import plain_value
from s3sftp.auth.aws.records import PlainPassword, RecordReader, StoredUser
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes
from s3sftp.backends import MountRole

KEYS = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
LINES = [key.export_public_key().decode().strip() for key in KEYS]
ROLE = "arn:aws:iam::123456789012:role/transfer-access-role"
HOME = UserHomes("amzn-s3-demo-bucket", "", ".s3sftp")
AWS_FORM = {"Role": ROLE, "Password": "Password1234", "HomeDirectory": "/amzn-s3-demo-bucket/bob"}
CHEAP = "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def read(record: dict[str, Any], **options: Any) -> StoredUser:
    given = SecretsManagerOptions(**({"prefix": "sftp/", "role": "ignore", "policy": "ignore"} | options))
    return RecordReader(given, "secrets_manager", HOME).user("bob", record)


def account(record: dict[str, Any]) -> Account:
    found = read(record).account
    assert found is not None
    return found


def problem(record: dict[str, Any], **options: Any) -> str:
    with pytest.raises(AnswerProblem) as caught:
        read(record, **options)
    return str(caught.value)


def opens(record: dict[str, Any]) -> list[bool]:
    return [any(entry.public_data == key.public_data for entry in account(record).keys) for key in KEYS]


# ── AWS's form ────────────────────────────────────────────────────────────────────────────────────────


def test_the_secret_of_aws_s_sample_becomes_a_user() -> None:
    found = read({**AWS_FORM, "PublicKey": LINES[0], "UserId": "bob"})
    assert found.account is not None
    assert (found.account.identity.prefix, found.account.password_hash) == ("bob/", None)
    assert found.password is not None
    assert (found.password.fits("Password1234"), found.password.fits("wrong")) == (True, False)
    assert found.password.fits("") is False


@pytest.mark.parametrize("given", [[{"Entry": "/", "Target": "/amzn-s3-demo-bucket/a"}]], ids=["root"])
@pytest.mark.parametrize("form", [json.dumps, lambda entries: entries], ids=["text", "list"])
def test_directory_details_may_be_a_text_of_json_or_a_list(given: Any, form: Any) -> None:
    record = {"Role": ROLE, "HomeDirectoryDetails": form(given), "HomeDirectoryType": "LOGICAL"}
    assert account(record).identity.prefix == "a/"


@pytest.mark.parametrize(
    "fields",
    [
        {"PublicKey": ", ".join(LINES)},
        {"PublicKey": "\n".join(LINES)},
        {"PublicKeys": LINES},
        {"PublicKey": LINES[0], "PublicKeys": [LINES[1]]},
    ],
    ids=["commas", "lines", "a list", "both"],
)
def test_keys_may_be_in_a_text_or_a_list(fields: dict[str, Any]) -> None:
    assert opens({**AWS_FORM, **fields}) == [True, True]


def test_a_comma_in_the_options_of_a_key_separates_no_keys() -> None:
    line = f'from="192.0.2.0/24,198.51.100.0/24" {LINES[0]}'
    (entry,) = account({**AWS_FORM, "PublicKey": line}).keys
    assert entry.public_data == KEYS[0].public_data


@pytest.mark.parametrize("given", ["192.0.2.0/24", "192.0.2.0/24, 198.51.100.0/24", ["192.0.2.0/24"]])
def test_accepted_networks_limit_where_a_user_may_log_in_from(given: Any) -> None:
    networks = account({**AWS_FORM, "AcceptedIpNetwork": given}).identity.login_rules.networks
    assert networks is not None
    assert (networks.allow("192.0.2.7"), networks.allow("203.0.113.1")) == (True, False)


def test_a_network_that_is_none_lets_nobody_in() -> None:
    assert "networks" in problem({**AWS_FORM, "AcceptedIpNetwork": "192.0.2.0/33"})


def test_fields_for_sftp_are_preferred_and_those_of_other_protocols_ignored() -> None:
    found = read({**AWS_FORM, "SFTPPassword": "of sftp", "FTPPassword": "of ftp", "FTPRole": ""})
    assert found.password is not None
    fits = [found.password.fits(text) for text in ("of sftp", "of ftp", "Password1234")]
    assert fits == [True, False, False]
    assert read({**AWS_FORM, "SFTPRole": ""}).account is None


@pytest.mark.parametrize("role", ["", "  ", None])
def test_without_a_role_nobody_gets_in_as_at_aws(role: str | None) -> None:
    assert read({**AWS_FORM, "Role": role}).account is None


def test_a_role_and_a_policy_are_refused_unless_they_may_be_ignored() -> None:
    assert 'secrets_manager.role = "ignore"' in problem(AWS_FORM, role="refuse")
    assert 'secrets_manager.policy = "ignore"' in problem({**AWS_FORM, "Policy": "{}"}, policy="refuse")


def test_a_role_is_assumed_if_the_operator_says_so() -> None:
    found = read(AWS_FORM, role="assume").account
    assert found is not None
    assert [mount.role for mount in found.identity.mounts] == [MountRole(ROLE)]


@pytest.mark.parametrize("password", ["", None])
def test_an_empty_password_is_none(password: str | None) -> None:
    assert read({**AWS_FORM, "Password": password}).password is None


def test_options_beside_aws_s_fields_are_refused_because_they_would_have_no_effect() -> None:
    assert "should not have disabled, networks" in problem({**AWS_FORM, "disabled": True, "networks": []})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"Password": 1234567}, "Password: should be a text"),
        ({"Password": ["secret"]}, "Password: should be a text"),
        ({"PublicKeys": [1]}, "PublicKeys: should be a text, or a list of texts"),
        ({"HomeDirectory": "/other/bob"}, "is not in the bucket amzn-s3-demo-bucket"),
        ({"HomeDirectory": "/amzn-s3-demo-bucket/.s3sftp/x"}, "is the server's own"),
        ({"HomeDirectoryDetails": "[{"}, "HomeDirectoryDetails should be a text of JSON"),
        ({"HomeDirectoryType": "OTHER"}, "HomeDirectoryType"),
    ],
)
def test_a_wrong_field_is_named_without_a_secret(fields: dict[str, Any], said: str) -> None:
    found = problem({**AWS_FORM, **fields})
    assert said in found
    assert "1234567" not in found
    assert "secret" not in found.replace("secrets_manager", "")


# ── own form ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_may_have_the_options_of_a_configured_user() -> None:
    record = {"password_hash": CHEAP, "prefix": "acme/", "read_only": True, "authorized_keys": LINES}
    found = account(record)
    assert (found.identity.prefix, found.identity.read_only, found.password_hash) == ("acme/", True, CHEAP)
    assert opens(record) == [True, True]


@pytest.mark.parametrize("option", ["authorized_keys_file", "group", "principals"])
def test_what_is_for_users_of_the_configuration_is_refused(option: str) -> None:
    assert f"{option}: only users of the configuration" in problem({option: "/etc/passwd"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prefx": "a/"}, "did you mean 'prefix'"),
        ({"password_hash": "swordfish"}, "password_hash"),
        ({"totp_secret": "swordfish!"}, "totp_secret"),
        ({"methods": ["password"]}, "no password_hash"),
        ({"prefix": ".s3sftp/"}, "the server's own"),
        ({"expires": "soon"}, "expires"),
    ],
)
def test_a_wrong_option_is_named_without_a_secret(fields: dict[str, Any], said: str) -> None:
    found = problem(fields)
    assert said in found
    assert "swordfish" not in found


# ── in memory, and in DynamoDB ────────────────────────────────────────────────────────────────────────


def test_memory_has_no_plain_password() -> None:
    found = read(AWS_FORM)
    assert found.password is not None
    assert "Password1234" not in repr(found) + repr(vars(found.password))


def test_two_passwords_that_are_the_same_look_different_in_memory() -> None:
    assert vars(PlainPassword("a")) != vars(PlainPassword("a"))


def test_attributes_become_what_json_would_have() -> None:
    item = {
        "text": {"S": "a"},
        "whole": {"N": "1073741824"},
        "part": {"N": "1.5"},
        "yes": {"BOOL": True},
        "none": {"NULL": True},
        "set": {"SS": ["b", "a"]},
        "numbers": {"NS": ["2", "1"]},
        "list": {"L": [{"S": "a"}, {"M": {"b": {"BOOL": False}}}]},
    }
    assert {name: plain_value(value, name) for name, value in item.items()} == {
        "text": "a",
        "whole": 1 << 30,
        "part": 1.5,
        "yes": True,
        "none": None,
        "set": ["a", "b"],
        "numbers": [1, 2],
        "list": ["a", {"b": False}],
    }


@pytest.mark.parametrize("kind", ["B", "BS"])
def test_a_binary_attribute_has_no_meaning(kind: str) -> None:
    with pytest.raises(AnswerProblem, match=r"mounts\./in\.prefix: is binary"):
        plain_value({"M": {"/in": {"M": {"prefix": {kind: b"x"}}}}}, "mounts")
