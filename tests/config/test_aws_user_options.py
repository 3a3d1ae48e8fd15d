"""Options of the users in AWS together with those of other groups."""

from __future__ import annotations

import pytest

from s3sftp.app.handover import dump, load
from s3sftp.app.options import load_options
from s3sftp.errors import ConfigurationError

SOURCES = {
    "dynamodb": {"S3SFTP_DYNAMODB__USERS_TABLE": "sftp-users"},
    "secrets_manager": {"S3SFTP_SECRETS_MANAGER__PREFIX": "aws/transfer/s-0123/"},
}
EITHER = pytest.mark.parametrize("group", list(SOURCES))


def problems(group: str, **options: str) -> str:
    given = {f"S3SFTP_{group.upper()}__{name.upper()}": value for name, value in options.items()}
    with pytest.raises(ConfigurationError) as caught:
        load_options(environ={"S3SFTP_BACKEND": "memory", **SOURCES[group], **given})
    return str(caught.value)


@EITHER
def test_users_in_aws_are_enough_for_a_start_without_users(group: str) -> None:
    options = load_options(environ={"S3SFTP_BACKEND": "memory", **SOURCES[group]})
    assert (options.has_other_users, options.users) == (True, {})
    assert load(dump(options)) == options  # as workers get it


@EITHER
def test_mistakes_are_named(group: str) -> None:
    said = problems(group, timeout="20 s")
    assert f"{group}.timeout = 20 s: should be less than auth.answer_timeout, 20 s" in said
    said = problems(group, endpoint_url="http://db.example.com/")
    assert f"{group}.endpoint_url" in said
    assert "http:// is only for this machine" in said


@pytest.mark.parametrize("table", ["x", "a b", "users/x", ""])
def test_a_name_that_no_table_can_have_is_refused(table: str) -> None:
    assert "dynamodb.users_table" in problems("dynamodb", users_table=table)


@pytest.mark.parametrize("prefix", ["", "a b/", "ä/", "x" * 401, "arn:aws:secretsmanager:x"])
def test_a_prefix_that_no_secret_can_have_is_refused(prefix: str) -> None:
    assert "secrets_manager.prefix" in problems("secrets_manager", prefix=prefix)


def test_a_start_without_any_source_names_all() -> None:
    with pytest.raises(ConfigurationError, match=r"\[hook\], \[dynamodb\] or \[secrets_manager\]"):
        load_options(environ={"S3SFTP_BACKEND": "memory"})
