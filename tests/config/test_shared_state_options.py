"""Options of what replicas share."""

from __future__ import annotations

import pytest

from s3sftp.app.handover import dump, load
from s3sftp.app.options import load_options
from s3sftp.errors import ConfigurationError

TABLE = {
    "S3SFTP_BACKEND": "memory",
    "S3SFTP_SHARED_STATE__DYNAMODB_TABLE": "sftp-shared",
    "S3SFTP_HOOK__URL": "https://users.example.com/",
}


def problems(**options: str) -> str:
    given = {f"S3SFTP_SHARED_STATE__{name.upper()}": value for name, value in options.items()}
    with pytest.raises(ConfigurationError) as caught:
        load_options(environ={**TABLE, **given})
    return str(caught.value)


def test_workers_get_the_options() -> None:
    options = load_options(environ=TABLE)
    assert options.shared_state is not None
    assert load(dump(options)) == options


def test_mistakes_are_named() -> None:
    assert "shared_state.dynamodb_table" in problems(dynamodb_table="a b")
    assert "shared_state.timeout = 20 s: should be less than auth.answer_timeout" in problems(timeout="20 s")
    assert "should be at least 1 s: each replica pays" in problems(interval="0.5 s")
    assert "http:// is only for this machine" in problems(endpoint_url="http://db.example.com/")
    assert "shared_state.unproven_codes" in problems(unproven_codes="maybe")


def test_a_shared_table_is_no_source_of_users() -> None:
    without = {name: value for name, value in TABLE.items() if "HOOK" not in name}
    with pytest.raises(ConfigurationError, match="there are no users"):
        load_options(environ=without)
