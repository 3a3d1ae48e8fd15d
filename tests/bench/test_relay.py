"""The relay counts what passes, changes nothing of it, and is as slow as it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.relay.connection import Shape, body_length
from bench.relay.flow import TokenBucket
from bench.relay.remote import Relay
from testbed.s3_store import Store
from tests.support.client_workspace import content

MIB = 1 << 20


@pytest.fixture
def near(store: Store, tmp_path: Path) -> Iterator[Relay]:
    with _relay(store, Shape(), tmp_path) as relay:
        yield relay


def _relay(store: Store, shape: Shape, tmp_path: Path) -> Relay:
    return Relay(int(store.endpoint_url.rpartition(":")[2]), shape, tmp_path / "relay.log")


def _through(store: Store, relay: Relay):  # type: ignore[no-untyped-def]
    return store.behind(f"http://127.0.0.1:{relay.port}").blocking_client


def test_bytes_pass_unchanged_in_both_directions(store: Store, bucket: str, near: Relay) -> None:
    body = content(9 * MIB + 1)
    client = _through(store, near)
    client.put_object(Bucket=bucket, Key="k", Body=body)
    assert store.blocking_client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_requests_are_counted_by_api_on_a_connection_that_is_used_again(
    store: Store, bucket: str, near: Relay
) -> None:
    client = _through(store, near)
    for size in (0, 10, 3 * MIB):
        client.put_object(Bucket=bucket, Key=f"k{size}", Body=content(size))
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k10"})
    for _ in range(2):
        client.get_object(Bucket=bucket, Key=f"k{3 * MIB}")["Body"].read()
    client.list_objects_v2(Bucket=bucket)
    client.delete_object(Bucket=bucket, Key="copy")
    assert near.traffic().requests == {
        "PutObject": 3,
        "CopyObject": 1,
        "GetObject": 2,
        "ListObjectsV2": 1,
        "DeleteObject": 1,
    }


def test_what_must_not_be_read_passes_unchanged_and_is_counted_in_connections_and_bytes(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    body = content(3 * MIB)
    with _relay(store, Shape(opaque=True), tmp_path) as relay:
        client = _through(store, relay)
        client.put_object(Bucket=bucket, Key="k", Body=body)
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
        found = relay.traffic()
    assert found.requests == {}
    assert found.connections >= 1
    assert len(body) < found.sent < len(body) + 100_000, "the body, and heads"
    assert len(body) < found.received < len(body) + 100_000


def test_bytes_of_requests_that_are_read_are_counted_too(store: Store, bucket: str, near: Relay) -> None:
    client = _through(store, near)
    client.put_object(Bucket=bucket, Key="k", Body=content(3 * MIB))
    found = near.traffic()
    assert found.connections == 1
    assert 3 * MIB < found.sent < 3 * MIB + 100_000
    near.reset()
    after = near.traffic()
    assert (after.sent, after.received) == (0, 0)
    assert after.connections == 1, "it is still open"
    client.close()


def test_an_answer_that_cannot_be_seen_cannot_be_held_back() -> None:
    with pytest.raises(ValueError, match="opaque"):
        Shape(latency=0.1, opaque=True)


def test_reset_counts_from_zero(store: Store, bucket: str, near: Relay) -> None:
    client = _through(store, near)
    client.list_objects_v2(Bucket=bucket)
    near.reset()
    client.head_bucket(Bucket=bucket)
    assert near.traffic().requests == {"HeadBucket": 1}


def test_each_answer_is_late_by_the_latency(store: Store, bucket: str, tmp_path: Path) -> None:
    with _relay(store, Shape(latency=0.1), tmp_path) as relay:
        client = _through(store, relay)
        started = time.monotonic()
        for _ in range(3):
            client.head_bucket(Bucket=bucket)
        assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_connection_is_no_faster_than_its_rate(store: Store, bucket: str, tmp_path: Path, way: str) -> None:
    body = content(9 * MIB)
    store.blocking_client.put_object(Bucket=bucket, Key="k", Body=body)
    with _relay(store, Shape(bytes_per_second=8 * MIB), tmp_path) as relay:
        client = _through(store, relay)
        started = time.monotonic()
        if way == "up":
            client.put_object(Bucket=bucket, Key="k", Body=body)
        else:
            assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
        # all but the first MiB, which is the burst, waits for the rate
        assert time.monotonic() - started >= 0.95


def test_a_bucket_lets_through_no_more_than_its_rate_and_a_burst() -> None:
    bucket = TokenBucket(1000, 100, now=0.0)
    passed, now = 0, 0.0
    while now < 10:
        amount = bucket.allowance(now, 1 << 20)
        bucket.spend(amount)
        passed += amount
        now += bucket.wait()
    assert 0.9 * 10_000 <= passed <= 10_000 + 100


def test_no_rate_is_no_limit() -> None:
    bucket = TokenBucket(0, 100, now=0.0)
    bucket.spend(1 << 40)
    assert bucket.allowance(0.0, 1 << 20) == 1 << 20


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"PUT /b/k HTTP/1.1\r\nContent-Length: 12\r\n\r\n", 12),
        (b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n", 0),
    ],
)
def test_the_length_of_a_body_is_read_from_its_head(head: bytes, length: int) -> None:
    assert body_length(head) == length
