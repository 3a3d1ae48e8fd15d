"""A dry run leaves no trace in what the server says of real transfers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from s3sftp.app.operation_trial import USAGES, OperationTrial, parse_operation
from s3sftp.auth import Identity
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions
from s3sftp.telemetry.audit import FROM_THE_LOG, MADE_FOR_IT, OF_FILES
from s3sftp.telemetry.event_tap import tap

REFUSED = ["put /f/below", "get /missing", "append / 5"]


def example_of(usage: str) -> str:
    """An operation that is allowed."""
    path = {"mkdir": "/new", "ls": "/", "rmdir": "/empty"}.get(usage.split()[0], "/f")
    return usage.replace("PATH", path).replace("NEW", "/g").replace("[SIZE]", "3").replace("SIZE", "3")


@pytest.mark.parametrize("text", [*map(example_of, USAGES), *REFUSED])
async def test_a_dry_run_of_any_operation_is_no_transfer_of_the_log_and_the_audit_log(text: str) -> None:
    heard: list[str] = []

    def hear(event: str, _fields: Mapping[str, Any]) -> None:
        heard.append(event)

    storage = MemoryBackend({"acme/f": b"x", "acme/empty/": b""})
    trial = OperationTrial(storage, FileOptions(), Identity("acme", "acme/"), "192.0.2.1")
    unlisten = tap.listen(OF_FILES | FROM_THE_LOG | MADE_FOR_IT, hear)
    try:
        tried = await trial.run(parse_operation(text))
    finally:
        unlisten()
    assert (tried.state == "refused") == (text in REFUSED), tried
    assert heard == []
