"""Options that cannot work are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from s3sftp.backends.s3 import S3Options
from s3sftp.config.option_texts import describe_options


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bucket": ""}, "bucket"),
        ({"prefix": "a//b"}, "prefix"),
        ({"prefix": "/a"}, "prefix"),
        ({"prefix": "../a"}, "prefix"),
        ({"prefix": "x" * 1000}, "prefix"),
        ({"prefix": ".s3sftp"}, "prefix"),
        ({"prefix": "a/.s3sftp/uploads/"}, "prefix"),
        ({"endpoint_url": "s3.example.com"}, "endpoint_url"),
        ({"endpoint_url": "http://s3.example.com"}, "allow_plain_http"),
        ({"access_key_id": "a"}, "go together"),
        ({"session_token": "a"}, "session_token"),
        ({"sse_kms_key_id": "k"}, "aws:kms"),
        ({"metadata": {"MTIME": "1"}}, "mtime"),
        ({"metadata": {"a": "é"}}, "ASCII"),
        ({"tags": {str(number): "" for number in range(11)}}, "tags"),
        ({"part_bytes": "1 MiB"}, "min_part_bytes"),
        ({"part_bytes": "6 GiB"}, "part_bytes"),
        ({"metadata_timeout": 0}, "metadata_timeout"),
        ({"cache_ttl": -1}, "cache_ttl"),
        ({"attempts": 0}, "attempts"),
        ({"speed": "fast"}, "speed"),
    ],
)
def test_a_wrong_option_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        S3Options(**({"bucket": "b"} | changes))


@pytest.mark.parametrize(
    ("given", "used"), [("", ""), ("acme", "acme/"), ("acme/", "acme/"), ("a/b", "a/b/")]
)
def test_a_prefix_ends_in_a_slash(given: str, used: str) -> None:
    assert S3Options(bucket="b", prefix=given).prefix == used


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8333", "http://localhost:1", "http://[::1]:1", "https://example.com"]
)
def test_plain_http_is_fine_on_this_machine(url: str) -> None:
    assert S3Options(bucket="b", endpoint_url=url).endpoint_url == url


def test_plain_http_elsewhere_has_to_be_said() -> None:
    assert S3Options(bucket="b", endpoint_url="http://minio:9000", allow_plain_http=True)


def test_secrets_are_not_printed() -> None:
    options = S3Options(bucket="b", access_key_id="AKIAX", secret_access_key="hidden", session_token="also")
    assert not any(secret in repr(options) for secret in ("AKIAX", "hidden", "also"))


def test_every_option_says_what_it_is_for() -> None:
    describe_options(S3Options)
    assert all(field.description for field in S3Options.model_fields.values())
