"""Durations and sizes are written one way in every group of options, in code as in a file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from s3sftp.app.options import ServerOptions
from s3sftp.config import Options, is_size

REQUIRED: dict[str, dict[str, Any]] = {
    "s3": {"bucket": "files"},
    "admin": {"cert_file": "/srv/cert", "key_file": "/srv/key"},
    "local": {"root": "/srv/sftp"},
    "service": {"socket": "/run/storage/socket"},
    "hook": {"url": "https://hook.example.com/"},
    "dynamodb": {"users_table": "sftp-users"},
    "shared_state": {"dynamodb_table": "sftp-shared"},
    "secrets_manager": {"prefix": "aws/transfer/s-0123/"},
}
"""What a group needs beside the option that is tried."""

GROUPS: dict[str, type[Options]] = {
    group: model
    for group, field in ServerOptions.model_fields.items()
    for model in (field.annotation, *get_args(field.annotation))
    if isinstance(model, type) and issubclass(model, Options) and group != "storages"  # as `s3`
}


def made_with(option: str, value: object) -> Any:
    """The option's value in a group that a caller constructs with it."""
    group, _, name = option.partition(".")
    return getattr(GROUPS[group](**REQUIRED.get(group, {}), **{name: value}), name)


def refusal_of(option: str, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        made_with(option, value)
    [error] = caught.value.errors()
    assert error["loc"] == (option.partition(".")[2],)
    return error["msg"]


DURATIONS = [
    f"{group}.{name}"
    for group, model in GROUPS.items()
    for name, field in model.model_fields.items()
    if timedelta in (field.annotation, *get_args(field.annotation))
]
SIZES = [
    f"{group}.{name}"
    for group, model in GROUPS.items()
    for name, field in model.model_fields.items()
    if is_size(field.metadata)
]


@pytest.mark.parametrize("option", DURATIONS)
def test_every_duration_can_be_given_in_code_as_in_a_file(option: str) -> None:
    wanted = timedelta(seconds=90)
    assert [made_with(option, value) for value in (90, "90 s", " 1.5MIN ", wanted)] == [wanted] * 4


@pytest.mark.parametrize("value", ["soon", "30 parsecs", "00:30", "PT30S", True, None, [30]], ids=repr)
def test_a_value_that_is_no_duration_is_answered_with_what_is(value: object) -> None:
    told = refusal_of("s3.metadata_timeout", value)
    assert "should be a number of seconds, or a text like '30 s', '10 min' or '1 h'" in told


@pytest.mark.parametrize("value", [-1, timedelta(seconds=-1), "11000 d", float("nan"), 10**400], ids=str)
def test_a_duration_is_neither_negative_nor_endless(value: object) -> None:
    assert "should be from zero to ten years" in refusal_of("s3.cache_ttl", value)


def test_zero_is_a_duration_only_where_it_has_a_meaning() -> None:
    assert made_with("s3.cache_ttl", 0) == timedelta(0)
    assert "should be longer than zero" in refusal_of("s3.metadata_timeout", "0 s")


@pytest.mark.parametrize("option", SIZES)
def test_every_size_can_be_given_in_code_as_in_a_file(option: str) -> None:
    group, _, name = option.partition(".")
    bounds = GROUPS[group].model_fields[name].metadata
    size = min([16 << 20, *(bound.le for bound in bounds if hasattr(bound, "le"))])
    values = (size, f"{size >> 10} KiB", f" {size >> 10}kib ", f"{size} B", str(size))
    assert [made_with(option, value) for value in values] == [size] * 5


@pytest.mark.parametrize("value", ["8 MB", "8 MiB or so", "1,000", "-1 KiB", "²", True, None], ids=repr)
def test_a_value_that_is_no_size_is_answered_with_what_is(value: object) -> None:
    told = refusal_of("files.range_bytes", value)
    assert "should be a number of bytes, like 8388608 or '8 MiB'" in told


def test_a_size_has_no_fraction() -> None:
    assert "should be a valid integer" in refusal_of("files.range_bytes", 33554432.5)
