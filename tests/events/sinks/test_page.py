"""docs/event-sinks.md: its examples work, and it names every option."""

from __future__ import annotations

import base64
import re
import secrets
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from s3sftp.events.expect.options import ExpectOptions
from s3sftp.events.sinks import SinkOptions
from s3sftp.events.sinks.options import (
    EventBridgeSinkOptions,
    FileSinkOptions,
    SnsSinkOptions,
    SqsSinkOptions,
    WebhookSinkOptions,
)
from s3sftp.events.sinks.standard_webhooks import webhook_headers

PAGE = (Path(__file__).parents[3] / "docs" / "event-sinks.md").read_text("utf-8")


def test_the_page_s_example_verifies_a_signature() -> None:
    [code] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "hmac" in block]
    example: dict[str, Any] = {}
    exec(code, example)
    verify = example["is_from_the_server"]
    keys = [secrets.token_bytes(32) for _ in range(3)]
    texts = [f"whsec_{base64.b64encode(key).decode()}" for key in keys]
    headers = webhook_headers("event-1", int(time.time()), b"{}", keys[:2])
    assert [verify(text, headers, b"{}") for text in texts] == [True, True, False]
    assert not verify(texts[0], headers, b"{ }")
    old = webhook_headers("event-1", 1_000_000_000, b"{}", keys)
    assert not verify(texts[0], old, b"{}")


@pytest.mark.parametrize("block", re.findall(r"```toml\n(\[events.*?)```", PAGE, re.S))
def test_the_page_s_tables_are_valid(block: str) -> None:
    events = tomllib.loads(block)["events"]
    for table in events.get("sinks", {}).values():
        TypeAdapter(SinkOptions).validate_python(table)
    for table in events.get("expect", {}).values():
        ExpectOptions.model_validate(table)


@pytest.mark.parametrize(
    "model",
    [
        FileSinkOptions,
        SqsSinkOptions,
        SnsSinkOptions,
        EventBridgeSinkOptions,
        WebhookSinkOptions,
        ExpectOptions,
    ],
)
def test_the_page_names_every_option(model: Any) -> None:
    named = set(re.findall(r"`(\w+)`", PAGE)) | set(re.findall(r"^(\w+) = ", PAGE, re.M))
    named |= set(re.findall(r"`(\w+) = ", PAGE))
    assert set(model.model_fields) - named == set()
