"""Options of the hook together with those of other groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3sftp.app.handover import dump, load
from s3sftp.app.options import load_options
from s3sftp.errors import ConfigurationError

URL = {"S3SFTP_BACKEND": "memory", "S3SFTP_HOOK__URL": "https://hook.example.com/login"}


def problems(tmp_path: Path, **options: str) -> str:
    given = {f"S3SFTP_{name.upper()}": value for name, value in options.items()}
    with pytest.raises(ConfigurationError) as caught:
        load_options(environ=URL | given)
    return str(caught.value)


def test_a_hook_is_enough_for_a_start_without_users() -> None:
    options = load_options(environ=URL)
    assert options.hook is not None
    assert options.users == {}
    assert load(dump(options)) == options  # as workers get it


def test_mistakes_between_groups_are_named(tmp_path: Path) -> None:
    assert "hook.timeout = 20 s: should be less than auth.answer_timeout, 20 s" in problems(
        tmp_path, hook__timeout="20 s"
    )
    assert "hook.header_file = '/nowhere': No such file" in problems(tmp_path, hook__header_file="/nowhere")
    assert "hook.client_key_file needs hook.client_cert_file" in problems(
        tmp_path, hook__client_key_file="/x"
    )
    said = problems(tmp_path, hook__url="https://me:swordfish@hook.example.com/")
    assert "hook.url has a user name or a password" in said
    assert "swordfish" not in said
