"""One request: its credentials, its trace, its headers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.client import S3Client
from s3sftp.errors import NotFound, StorageFailure
from testbed import s3_store as stores
from tests.backends.s3.conftest import ALICE, PART, Opener, options_for, place
from tests.backends.s3.upload_driver import data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Hold
from tests.support.s3_client import S3


@pytest.fixture
def credentials_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: stores.Store) -> Path:
    """The standard credentials file, and nothing else that could let us in."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write_credentials(file, store.access_key, store.secret_key)
    return file


def write_credentials(file: Path, access_key: str, secret_key: str) -> None:
    file.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")


CHAIN = {"access_key_id": None, "secret_access_key": None}


async def test_rotated_credentials_are_picked_up_without_a_restart(
    open_backend: Opener, credentials_file: Path, store: stores.Store, proxy: FaultProxy
) -> None:
    write_credentials(credentials_file, "AKIAOLD", "old")
    backend = await open_backend(**CHAIN)
    with pytest.raises(StorageFailure, match="credentials"):
        await put(backend, "f", b"x")
    assert proxy.log.count("PutObject") == 1
    write_credentials(credentials_file, store.access_key, store.secret_key)
    await put(backend, "f", b"x")
    assert proxy.log.count("PutObject") == 3


async def test_expired_credentials_are_renewed_once_for_all_who_need_them(
    open_backend: Opener, credentials_file: Path, store: stores.Store, proxy: FaultProxy
) -> None:
    write_credentials(credentials_file, "AKIAOLD", "old")
    backend = await open_backend(**CHAIN)
    with pytest.raises(StorageFailure):
        await put(backend, "f", b"x")
    write_credentials(credentials_file, store.access_key, store.secret_key)
    await asyncio.gather(*(put(backend, f"f{number}", b"x") for number in range(8)))
    assert backend.client._credentials is not None
    assert backend.client._credentials.generation == 1


async def test_a_refusal_that_lasts_is_not_repeated(
    open_backend: Opener, credentials_file: Path, proxy: FaultProxy
) -> None:
    backend = await open_backend(**CHAIN)
    proxy.on("PutObject", do=Answer(400, "ExpiredToken"))
    with pytest.raises(StorageFailure, match="credentials"):
        await put(backend, "f", b"x")
    assert proxy.log.count("PutObject") == 1


async def test_no_credentials_at_all_is_an_error_with_a_reason(
    open_backend: Opener, credentials_file: Path
) -> None:
    credentials_file.unlink()
    backend = await open_backend(**CHAIN)
    with pytest.raises(StorageFailure, match="credentials"):
        await backend.file_info(place("f"), ALICE)


async def test_no_part_waits_for_permission_to_be_sent(backend: S3Backend, proxy: FaultProxy) -> None:
    await put(backend, "f", data_of(PART + 1))
    await put(backend, "g", b"x")
    assert all("expect" not in seen.headers for seen in proxy.log)
    hashes = {seen.headers["x-amz-content-sha256"] for seen in proxy.log.of("UploadPart", "PutObject")}
    assert hashes == {"UNSIGNED-PAYLOAD"}


async def test_a_request_that_waits_holds_up_no_other(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    await s3.put("tenant/f", b"x")
    held = proxy.on("HeadObject", do=Hold(), key="slow")
    slow = asyncio.create_task(backend.file_info(place("slow"), ALICE))
    await held.reached()
    assert (await backend.file_info(place("f"), ALICE)).size == 1
    held.release()
    with pytest.raises(NotFound):
        await slow


async def test_metadata_requests_end_with_their_deadline(open_backend: Opener, proxy: FaultProxy) -> None:
    backend = await open_backend(metadata_timeout=timedelta(seconds=2))
    proxy.on("HeadObject", do=Hold())
    began = asyncio.get_running_loop().time()
    with pytest.raises(Exception, match="in time"):
        await backend.file_info(place("f"), ALICE)
    assert asyncio.get_running_loop().time() - began < 20
    assert proxy.log.count("HeadObject") >= 2  # silence is given another chance


async def test_every_attempt_is_a_span_and_costs(backend: S3Backend, proxy: FaultProxy) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from s3sftp.telemetry import spans

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patch:
        tracer = provider.get_tracer("test")
        patch.setattr(spans, "_tracer", lambda: tracer)
        proxy.on("PutObject", do=Answer(503, "SlowDown"), times=1)
        await put(backend, "f", b"x")
        with pytest.raises(NotFound):
            await backend.file_info(place("g"), ALICE)
    finished = exporter.get_finished_spans()
    assert [span.name for span in finished] == [
        "S3.PutObject",
        "S3.PutObject",
        "S3.HeadObject",
        "S3.ListObjectsV2",
    ]
    failed, retried, missing, _ = finished
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "SlowDown"
    assert retried.attributes is not None
    assert retried.attributes["http.request.resend_count"] == 1
    assert retried.attributes["aws.s3.key"] == "tenant/f"
    assert all(span.kind is trace.SpanKind.CLIENT for span in finished)
    assert missing.status.status_code is trace.StatusCode.UNSET  # that nothing is there is no failure


async def test_starting_sends_nothing(proxied: stores.Store, proxy: FaultProxy, bucket: str) -> None:
    client = S3Client(options_for(proxied, bucket))
    await client.start()
    await client.stop()
    await client.stop()
    assert list(proxy.log) == []
