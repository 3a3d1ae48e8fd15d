"""Spans as a collector receives them: a real server, S3, and OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp.sftp.request_spans import SAMPLED_ONE_IN
from testbed.packets import CREAT, STAT, TRUNC, R, W, string
from testbed.processes import wait_until
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store
from tests.support.hook_server import Hook, decides, running_hook
from tests.support.otlp_collector import Collector, Received, collecting, collecting_by_grpc
from tests.support.server import PART_BYTES, Server

SOON = "100"
"""Milliseconds between two exports of spans."""
WRITE_BYTES = 32 << 10


DOCS = Path(__file__).parents[2] / "docs/tracing.md"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector. Whatever it receives in any test is in the documentation."""
    with collecting() as found:
        yield found
    page = DOCS.read_text("utf-8")
    seen = {name for span in found.spans() for name in span.attributes}
    assert seen
    assert not {name for name in seen if f"`{name}`" not in page}


class Traced:
    """A server whose spans go to a collector."""

    def __init__(
        self,
        store: Store,
        bucket: str,
        directory: Path,
        url: str,
        options: dict[str, dict[str, object]] | None = None,
        **environ: str,
    ) -> None:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": SOON,
            "OTEL_TRACES_SAMPLER": "always_on",
        } | environ
        under = ["env", *(f"{name}={value}" for name, value in variables.items() if value)]
        self.server = Server(directory / "server", store, bucket, options, under=under)

    async def __aenter__(self) -> Traced:
        await self.server.astart()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RawSftpClient]:
        async with await self.connect() as connection, wire(connection) as session:
            yield session

    async def connect(self, **more: Any) -> asyncssh.SSHClientConnection:
        server = self.server
        words: dict[str, Any] = {"username": server.user, "client_keys": [str(server.key_file)]}
        words |= {"known_hosts": None, "config": None, **more}
        return await asyncssh.connect(server.host, server.port, **words)

    async def stop(self) -> None:
        """End the server, which sends its last spans."""
        self.server.terminate()
        assert await self.server.ended() == 0


async def until(condition: Any, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, 30, what)


def children(collector: Collector, parent: Received) -> list[Received]:
    return [each for each in collector.spans() if each.parent == parent.id]


async def test_each_operation_is_one_span_below_its_session_below_its_connection(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    async with Traced(seaweed, bucket, tmp_path, collector.url) as traced:
        async with traced.client() as client:
            await client.mkdir(b"/d")
            await client.put(b"/d/f", b"x" * 100)
            assert await client.get(b"/d/f") == b"x" * 100
            await client.rename(b"/d/f", b"/d/g")
            assert (await client.request(STAT, string(b"/d/f"))).code == 2
            await client.list(b"/d")
            await client.remove(b"/d/g")
        await traced.stop()
    connection = collector.span("ssh.connection")
    session = collector.span("sftp.session")
    assert (connection.parent, session.parent) == (b"", connection.id)
    assert {each.trace for each in collector.spans() if each.name.startswith("sftp.")} == {connection.trace}
    operations = [each for each in children(collector, session) if each.kind == "server"]
    assert Counter(each.name for each in operations) == {
        "sftp.MKDIR": 1,
        "sftp.OPEN": 2,
        "sftp.CLOSE": 3,
        "sftp.RENAME": 1,
        "sftp.STAT": 1,
        "sftp.FSTAT": 1,
        "sftp.OPENDIR": 1,
        "sftp.READDIR": 2,
        "sftp.REMOVE": 1,
    }
    logins = collector.spans("ssh.userauth")  # whether the key would do, and its signature
    assert {each.parent for each in logins} == {connection.id}
    assert logins[-1].attributes["s3sftp.auth.accepted"] is True
    assert connection.attributes["user.name"] == "alice"
    assert connection.attributes["client.address"] == "127.0.0.1"
    assert connection.attributes["server.port"] == traced.server.port
    assert "AsyncSSH" in connection.attributes["user_agent.original"]
    rename = collector.span("sftp.RENAME")
    assert rename.attributes["file.path"] == "/d/f"
    assert rename.attributes["s3sftp.target_path"] == "/d/g"
    assert rename.attributes["user.name"] == "alice"
    assert rename.attributes["session.id"] == session.attributes["session.id"]
    copies = [each for each in children(collector, rename) if each.name == "S3.CopyObject"]
    assert [each.attributes["aws.s3.key"] for each in copies] == ["alice/d/g"]
    missing = collector.span("sftp.STAT")
    assert (missing.attributes["error.type"], missing.attributes["sftp.status"]) == (
        "NotFound",
        "NO_SUCH_FILE",
    )
    assert not missing.is_failed  # clients ask before they act
    (resource, *_) = collector.trace_resources()
    assert (resource["service.name"], resource["process.pid"]) == ("s3sftp", traced.server.process.pid)  # type: ignore[union-attr]
    requests = [each for each in collector.spans() if each.name.startswith("S3.") and each.parent]
    known = {each.id for each in collector.spans()}
    assert requests
    assert {each.parent for each in requests} <= known


@pytest.mark.parametrize("mode", ["folded", "each"])
async def test_what_a_transfer_sends_belongs_to_its_span_or_links_to_it(
    mode: str, seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    size = 2 * PART_BYTES + 1000
    options: dict[str, dict[str, object]] = {"tracing": {"reads_and_writes": mode}}
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "10000"}  # a busy machine may export late
    async with Traced(seaweed, bucket, tmp_path, collector.url, options, **queue) as traced:
        async with traced.client() as client:
            await client.put(b"/f", bytes(size))
            await client.get(b"/f")
        await traced.stop()
    upload = collector.span("sftp.upload")
    assert upload.parent == collector.span("sftp.session").id
    assert upload.attributes["s3sftp.bytes"] == upload.attributes["file.size"] == size
    assert upload.attributes["s3sftp.requests"] == -(-size // WRITE_BYTES)
    assert (upload.attributes["s3sftp.result"], upload.attributes["s3sftp.reason"]) == ("committed", "closed")
    parts = collector.spans("S3.UploadPart")
    assert sorted(each.attributes["aws.s3.part_number"] for each in parts) == [1, 2, 3]
    assert sum(each.attributes["http.request.body.size"] for each in parts) == size
    close = collector.span("sftp.CLOSE", s3sftp__s3_requests=2)  # the last part, and the completion
    for part in parts:
        is_last = part.attributes["aws.s3.part_number"] == 3
        assert (part.parent, part.links) == ((close.id, [upload.id]) if is_last else (upload.id, []))
    completion = collector.span("S3.CompleteMultipartUpload")
    assert (completion.parent, completion.links) == (close.id, [upload.id])
    assert collector.span("S3.CreateMultipartUpload").parent == upload.id
    assert len({each.attributes["aws.s3.upload_id"] for each in [*parts, completion]}) == 1
    download = collector.span("sftp.download")
    assert download.attributes["s3sftp.bytes"] == size
    # also those that had to wait
    assert len(collector.spans("sftp.WRITE")) == (0 if mode == "folded" else -(-size // WRITE_BYTES))
    assert bool(collector.spans("sftp.READ")) == (mode == "each")
    opening, *ahead = collector.spans("S3.GetObject")
    assert opening.parent == collector.spans("sftp.OPEN")[-1].id
    assert {each.parent for each in ahead} == {download.id}


async def test_a_request_to_s3_has_the_attributes_of_the_semantic_conventions(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    async with Traced(seaweed, bucket, tmp_path, collector.url) as traced:
        async with traced.client() as client:
            await client.put(b"/f", b"x" * 7)
        await traced.stop()
    put = collector.span("S3.PutObject", aws__s3__key="alice/f")
    assert put.kind == "client"
    assert put.attributes["aws.request_id"]
    assert put.attributes | {"aws.request_id": ""} == {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": "PutObject",
        "aws.s3.bucket": bucket,
        "aws.s3.key": "alice/f",
        "aws.request_id": "",
        "http.request.body.size": 7,
        "http.response.status_code": 200,
        "http.response.body.size": 0,
        "server.address": "127.0.0.1",
        "server.port": int(seaweed.endpoint_url.rpartition(":")[2]),
    }


@pytest.mark.parametrize(
    ("mode", "expected"), [("folded", 0), ("sampled", 2), ("each", 160)], ids=["folded", "sampled", "each"]
)
async def test_reads_and_writes_have_the_spans_that_the_option_gives_them(
    mode: str, expected: int, seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    count = 160
    assert -(-count // SAMPLED_ONE_IN) == 2
    options: dict[str, dict[str, object]] = {"tracing": {"reads_and_writes": mode}}
    async with Traced(seaweed, bucket, tmp_path, collector.url, options) as traced:
        async with traced.client() as client:
            handle = await client.open(b"/f", W | CREAT | TRUNC)
            await asyncio.gather(
                *(client.sending_write(handle, at * 1000, bytes(1000)) for at in range(count))
            )
            await client.close(handle)
        async with traced.client() as client:
            handle = await client.open(b"/f", R)
            for at in range(count):
                assert await client.read(handle, at * 1000, 1000) == bytes(1000)
            await client.close(handle)
        await traced.stop()
    sessions = {each.id for each in collector.spans("sftp.session")}
    for name in ("sftp.WRITE", "sftp.READ"):
        spans = collector.spans(name)
        assert len(spans) == expected, name
        assert {each.parent for each in spans} <= sessions
        assert {each.attributes["s3sftp.bytes"] for each in spans} <= {1000}
    for name in ("sftp.upload", "sftp.download"):
        transfer = collector.span(name)
        assert (transfer.attributes["s3sftp.requests"], transfer.attributes["s3sftp.bytes"]) == (
            count,
            count * 1000,
        )


async def test_an_upload_that_is_cut_off_is_a_failed_span_with_its_reason(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    async with Traced(seaweed, bucket, tmp_path, collector.url) as traced:
        async with traced.client() as client:
            handle = await client.open(b"/f", W | CREAT | TRUNC)
            await client.write(handle, 0, bytes(2 * PART_BYTES)[: 200 << 10])
            client.connection.abort()
        await until(lambda: bool(collector.spans("ssh.connection")), "the connection's span")
        await traced.stop()
    upload = collector.span("sftp.upload")
    assert upload.is_failed
    assert upload.attributes["s3sftp.result"] == "aborted"
    assert upload.attributes["error.type"] in ("connection_lost", "client_closed")


async def test_without_a_sampler_the_share_of_ordinary_operations_has_all_that_a_few_clients_do(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    async with Traced(seaweed, bucket, tmp_path, collector.url, OTEL_TRACES_SAMPLER="") as traced:
        async with traced.client() as client:
            await client.put(b"/f", b"x" * 100)
            assert await client.get(b"/f") == b"x" * 100
        await traced.stop()
    session = collector.span("sftp.session")
    close = next(each for each in collector.spans("S3.PutObject"))
    names = {each.name for each in children(collector, session)}
    assert {"sftp.OPEN", "sftp.CLOSE", "sftp.upload", "sftp.download"} <= names
    assert close.parent in {each.id for each in collector.spans("sftp.CLOSE")}


async def test_without_a_sampler_and_a_share_only_what_fails_or_is_slow_is_exported_below_its_session(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    options: dict[str, dict[str, object]] = {"tracing": {"ordinary_spans": 0, "slow": "1 h"}}
    async with Traced(seaweed, bucket, tmp_path, collector.url, options, OTEL_TRACES_SAMPLER="") as traced:
        async with traced.client() as client:
            await client.put(b"/ordinary", b"x" * 100)
            handle = await client.open(b"/cut-off", W | CREAT | TRUNC)
            await client.write(handle, 0, bytes(2 * PART_BYTES)[: 200 << 10])
            client.connection.abort()
        await until(lambda: bool(collector.spans("ssh.connection")), "the connection's span")
        await traced.stop()
    session = collector.span("sftp.session")
    assert session.parent == collector.span("ssh.connection").id
    assert {each.attributes["s3sftp.auth.accepted"] for each in collector.spans("ssh.userauth")} == {True}
    (kept,) = children(collector, session)
    assert (kept.name, kept.attributes["file.path"]) == ("sftp.upload", "/cut-off")
    known = {each.id for each in collector.spans()}
    assert [each.name for each in collector.spans() if each.parent and each.parent not in known] == []
    assert [each.name for each in collector.spans() if not each.parent] == ["ssh.connection"]


async def test_without_a_sampler_what_is_slow_is_exported_with_its_requests(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    options: dict[str, dict[str, object]] = {"tracing": {"ordinary_spans": 0, "slow": "0.001 ms"}}
    async with Traced(seaweed, bucket, tmp_path, collector.url, options, OTEL_TRACES_SAMPLER="") as traced:
        async with traced.client() as client:
            await client.put(b"/f", b"x" * 100)
        await traced.stop()
    close = collector.span("sftp.CLOSE")
    assert collector.span("S3.PutObject").parent == close.id
    assert close.parent == collector.span("sftp.session").id


async def test_what_the_rights_refuse_is_a_failed_span_with_its_class(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    options: dict[str, dict[str, object]] = {"users.alice": {"rights": "read-only"}}
    async with Traced(seaweed, bucket, tmp_path, collector.url, options) as traced:
        async with await traced.connect() as connection, connection.start_sftp_client() as sftp:
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await sftp.mkdir("/d")
        await traced.stop()
    refused = collector.span("sftp.MKDIR")
    assert refused.is_failed
    assert (refused.attributes["error.type"], refused.attributes["sftp.status"]) == (
        "PermissionDenied",
        "PERMISSION_DENIED",
    )


async def test_a_name_that_is_no_text_costs_no_span_of_its_batch(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    """A name that is not UTF-8 cannot be sent by OTLP as it is, and a batch with one would be lost whole."""
    async with Traced(seaweed, bucket, tmp_path, collector.url) as traced:
        async with traced.client() as client:
            await client.request(STAT, string(b"/\xff\x1b[31m"))
            await client.request(STAT, string(b"/" + b"x" * 5000))
        await traced.stop()
    strange, long = collector.spans("sftp.STAT")
    assert strange.attributes["file.path"] == "/\\xff\\x1b[31m"
    assert len(long.attributes["file.path"]) <= 1001


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_had_ended_before_a_process_was_killed_is_not_lost(
    workers: int, seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    options: dict[str, dict[str, object]] = {"server": {"workers": workers}}
    async with Traced(seaweed, bucket, tmp_path, collector.url, options) as traced:
        async with traced.client() as client:
            await client.put(b"/f", bytes(PART_BYTES + 1))
            await until(
                lambda: bool(collector.spans("sftp.CLOSE")), "what has ended, while the session lasts"
            )
            traced.server.kill()
    assert not collector.spans("sftp.session")
    operations = [collector.span(f"sftp.{name}") for name in ("OPEN", "CLOSE", "upload")]
    # they show whose they were, and belong together, without their parents
    assert {each.attributes["user.name"] for each in operations} == {"alice"}
    assert len({(each.trace, each.parent, each.attributes["session.id"]) for each in operations}) == 1


async def test_spans_and_metrics_go_by_grpc(seaweed: Store, bucket: str, tmp_path: Path) -> None:
    with collecting_by_grpc() as collector:
        environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "otlp"}
        async with Traced(seaweed, bucket, tmp_path, collector.url, **environ) as traced:
            async with traced.client() as client:
                await client.put(b"/f", b"x")
            await traced.stop()
        assert children(collector, collector.span("sftp.session"))
        assert collector.metrics()["s3sftp_received_bytes_total"].sum.data_points[0].as_int == 1


async def test_the_hook_gets_the_context_of_the_attempt_to_log_in(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    def decide(fields: dict[str, Any]) -> object:
        return {"Role": "any", "HomeDirectory": f"/{bucket}/bob"} if fields["username"] == "bob" else {}

    async with running_hook(decides(decide)) as hook:
        options: dict[str, dict[str, object]] = {"hook": {"url": hook.url, "role": "ignore"}}
        async with Traced(seaweed, bucket, tmp_path, collector.url, options) as traced:
            async with await traced.connect(username="bob", client_keys=None, password="anything"):
                pass
            await traced.stop()
        context = asked_with_password(hook)
    _, trace, parent, flags = context.split("-")
    request = collector.span("POST", server__port=hook.port, http__response__status_code=200)
    assert (request.id.hex(), request.trace.hex(), int(flags, 16) & 1) == (parent, trace, 1)
    attempts = {each.id: each for each in collector.spans("ssh.userauth")}
    assert attempts[request.parent].parent == collector.span("ssh.connection").id
    assert attempts[request.parent].attributes["s3sftp.auth.method"] in ("password", "keyboard-interactive")


def asked_with_password(hook: Hook) -> str:
    (asked,) = (each for each in hook.asked if each.fields.get("password"))
    return asked.headers["traceparent"]


async def test_a_collector_that_fails_costs_a_line_and_no_memory_and_gets_later_spans(
    seaweed: Store, bucket: str, tmp_path: Path, collector: Collector
) -> None:
    collector.status = 400  # which is not tried again, so that the test need not wait
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
    async with Traced(seaweed, bucket, tmp_path, collector.url, **queue) as traced:
        async with traced.client() as client:
            for _ in range(10):
                await asyncio.gather(*(client.request(STAT, string(b"/f")) for _ in range(20)))
            await traced.server.until(
                lambda: traced.server.count("tracing.export_failed") > 0, "the failure to be logged"
            )
            collector.status = 200
            await later_span(client, collector)
        await traced.stop()
    told = ("opentelemetry", "tracing.sdk_problem")  # by their own loggers, and by ours
    lines = [event for event in traced.server.events() if str(event["logger"]).startswith(told[0])]
    assert not lines
    assert traced.server.count(told[1]) <= 1
    failures = traced.server.events("tracing.export_failed")
    assert 1 <= len(failures) <= 2  # the first, and how many there were when it worked again
    assert sum(event["lost"] for event in failures) > 0
    assert "400" in failures[0]["error"]


async def later_span(client: RawSftpClient, collector: Collector) -> None:
    async with asyncio.timeout(30):
        while not collector.spans("sftp.STAT"):
            await client.request(STAT, string(b"/f"))
            await asyncio.sleep(0.05)
