"""The line that each transfer leaves: what it says is what the store, the client and the clock say."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from s3sftp.telemetry.audit import AuditLog
from testbed.s3_store import Store
from tests.cli.command_process import batch, paramiko_on, serving_from_memory, sftp_command
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server

LARGE = PART_BYTES * 5 // 2


@pytest.fixture
async def server(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[Server]:
    options: dict[str, dict[str, object]] = {'users.alice.paths."/small"': {"max_file_bytes": 10}}
    server = Server(tmp_path / "server", store, bucket, options)
    try:
        yield await server.astart()
    finally:
        await asyncio.to_thread(server.close)


async def lines(server: Server, event: str, count: int = 1) -> list[dict[str, Any]]:
    await server.until(lambda: server.count(event) >= count, event)
    return server.events(event)


def crc32(data: bytes) -> str:
    return f"crc32:{base64.b64encode(zlib.crc32(data).to_bytes(4, 'big')).decode()}"


async def sftp(server: Server, commands: str) -> None:
    await asyncio.to_thread(batch, sftp_command(server.port, server.key_file), commands)


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_the_line_of_a_transfer_says_which_object_how_fast_with_which_checksum_and_for_how_much(
    server: Server, bucket: str, s3: S3, tmp_path: Path
) -> None:
    contents = {"small.bin": b"content", "large.bin": bytes(range(256)) * (LARGE // 256)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    await sftp(server, f"put {tmp_path}/*.bin /\nget /large.bin {tmp_path}/back\n")
    found = {line["path"]: line for line in await lines(server, "upload.committed", 2)}
    assert (await s3.head("alice/small.bin"))["ContentLength"] == 7
    for name, content in contents.items():
        line = found[f"/{name}"]
        assert (line["bucket"], line["key"]) == (bucket, f"alice/{name}")
        assert await s3.exists(line["key"])
        assert line["checksum"] == crc32(content)
        assert "reason" not in line
        assert line["mb_per_second"] == pytest.approx(line["bytes"] / 1e6 / line["seconds"], rel=0.6, abs=0.1)
    put, each_get = 0.005 / 1000, 0.0004 / 1000
    assert found["/small.bin"]["s3_dollars"] == pytest.approx(put)
    parts = found["/large.bin"]["s3_requests"]
    assert parts == {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
    assert found["/large.bin"]["s3_dollars"] == pytest.approx(5 * put)
    (down,) = await lines(server, "download.completed")
    assert (down["bucket"], down["key"], down["bytes"]) == (bucket, "alice/large.bin", LARGE)
    assert down["s3_dollars"] == pytest.approx(sum(down["s3_requests"].values()) * each_get)
    assert "checksum" not in down
    assert down["mb_per_second"] > 0


async def test_the_line_of_a_transfer_that_did_not_succeed_says_why(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    await sftp(server, f"mkdir /small\nput {tmp_path}/file /small/file\n")
    (failed,) = await lines(server, "upload.failed")
    assert (failed["reason"], failed["key"]) == ("no_space", "alice/small/file")
    assert "checksum" not in failed
    with paramiko_on(server.port, server.key_file) as client:
        left = client.open("/left", "wb")
    (aborted,) = await lines(server, "upload.aborted")
    assert (aborted["reason"], aborted["path"], aborted["key"]) == ("client_closed", "/left", "alice/left")
    del left  # whose destructor would close it


async def test_a_file_that_was_renamed_while_it_was_written_has_its_last_name(
    server: Server, bucket: str, s3: S3
) -> None:
    with paramiko_on(server.port, server.key_file) as client:
        with client.open("/first", "wb") as file:
            file.write(bytes(PART_BYTES + 1))
            client.rename("/first", "/second")
    (line,) = await lines(server, "upload.committed")
    assert (line["path"], line["key"]) == ("/second", "alice/second")
    assert await s3.exists(line["key"])
    assert line["checksum"] == crc32(bytes(PART_BYTES + 1))


def test_a_line_that_belongs_to_a_span_has_its_ids(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with serving_from_memory(tmp_path, OTEL_TRACES_EXPORTER="console") as server:
        batch(sftp_command(server.port, tmp_path / "key"), f"put {tmp_path}/file\n")
        line = server.wait_event("upload.committed")
        assert "trace_id" not in server.events("server.started")[0]
        server.process.stop()
        out = server.process.output()
    spans = re.findall(
        r'"name": "([^"]+)",\s+"context": \{\s+"trace_id": "0x(\w+)",\s+"span_id": "0x(\w+)"', out
    )
    ids = {(trace_id, span_id) for name, trace_id, span_id in spans if name.startswith("sftp.")}
    assert (line["trace_id"], line["span_id"]) in ids


def test_a_line_of_the_audit_log_has_them_too() -> None:
    lines: list[bytes] = []
    log = AuditLog(lines.append)
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))):
        log.record("request.refused", {"trace_id": "forged"})
    log.record("request.refused", {})
    inside, outside = map(json.loads, lines)
    assert (inside["trace_id"], inside["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert outside.keys().isdisjoint({"trace_id", "span_id"})


def test_a_line_of_a_server_that_does_not_trace_has_no_ids(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with serving_from_memory(tmp_path) as server:
        batch(sftp_command(server.port, tmp_path / "key"), f"put {tmp_path}/file\n")
        assert "trace_id" not in server.wait_event("upload.committed")
