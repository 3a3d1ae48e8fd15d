"""`check` says what a bucket can do and what to do about the rest, and leaves nothing behind."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from pydantic import SecretStr

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3 import check
from tests.backends.s3.conftest import options_for
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3, s3_client
from tests.support.store import Store

RULE = {
    "ID": "unfinished",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
}


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.state for finding in findings}


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_a_good_bucket_is_good_and_left_as_it_was(s3: S3, proxied: Store, proxy: FaultProxy) -> None:
    findings = states(await check(options_for(proxied, s3.bucket)))
    assert findings.pop("lifecycle") == "warning"
    assert set(findings.values()) == {"ok"}
    assert len(findings) == 13
    assert await s3.keys() == []
    assert await s3.multipart_uploads() == []
    assert all(seen.key.startswith("tenant/") for seen in proxy.log if seen.key)


async def test_a_lifecycle_rule_is_found(s3: S3, store: Store) -> None:
    advice = {finding.what: finding.advice for finding in await check(options_for(store, s3.bucket))}
    assert "AbortIncompleteMultipartUpload" in advice["lifecycle"]
    await s3.client.put_bucket_lifecycle_configuration(
        Bucket=s3.bucket, LifecycleConfiguration={"Rules": [RULE]}
    )
    assert states(await check(options_for(store, s3.bucket)))["lifecycle"] == "ok"


async def test_a_bucket_that_is_not_there_and_wrong_credentials_are_told_apart(s3: S3, store: Store) -> None:
    [missing] = await check(options_for(store, "no-such-bucket"))
    assert (missing.state, "create the bucket" in missing.advice) == ("failed", True)
    [secret] = await check(options_for(store, s3.bucket, secret_access_key=SecretStr("wrong")))
    assert "secret key" in secret.advice
    [down] = await check(options_for(store, s3.bucket, endpoint_url="http://127.0.0.1:9", attempts=1))
    assert "endpoint" in down.advice


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "AccessDenied"])
async def test_a_wrong_clock_is_named(s3: S3, proxied: Store, proxy: FaultProxy, code: str) -> None:
    behind = formatdate(time.time() - 1200, usegmt=True)
    proxy.on("ListObjectsV2", do=Answer(403, code, headers=(("Date", behind),)))
    [finding] = await check(options_for(proxied, s3.bucket))
    assert (finding.what, finding.state) == ("clock", "failed")
    assert "20 minutes (ahead)" in finding.text


@pytest.mark.parametrize(
    ("api", "what"),
    [
        ("PutObject", "write"),
        ("GetObject", "read"),
        ("CreateMultipartUpload", "multipart"),
        ("AbortMultipartUpload", "multipart"),
        ("DeleteObject", "delete"),
    ],
)
async def test_each_permission_that_is_missing_is_named(
    s3: S3, proxied: Store, proxy: FaultProxy, api: str, what: str
) -> None:
    proxy.on(api, do=Answer(403, "AccessDenied"))
    findings = {finding.what: finding for finding in await check(options_for(proxied, s3.bucket))}
    assert findings[what].state == "failed"
    assert "s3:" in findings[what].advice


@pytest.mark.parametrize("store", ["rclone"], indirect=True)
async def test_a_sloppy_store_is_described_as_it_is(store: Store, bucket: str) -> None:
    """One that ignores conditions."""
    findings = states(await check(options_for(store, bucket)))
    assert findings["conditional writes"] == findings["versions"] == "warning"
    assert findings["write"] == findings["read"] == findings["ranges"] == findings["multipart"] == "ok"
    async with s3_client(store, bucket) as s3:
        assert await s3.keys() == []


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_that_the_journal_can_be_kept_in_the_bucket_is_tried_and_leaves_nothing(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    options = options_for(proxied, s3.bucket, journal="bucket")
    assert states(await check(options))["journal"] == "ok"
    assert await s3.keys() == []
    proxy.on("PutObject", key=r"\.s3sftp/", do=Answer(403, "AccessDenied"))
    found = {finding.what: finding for finding in await check(options)}
    assert (found["journal"].state, found["write"].state) == ("warning", "ok")
    assert "below tenant/.s3sftp/" in found["journal"].advice
    assert await s3.keys() == []


@pytest.mark.parametrize("journal", ["disk", "bucket"])
async def test_what_the_reserved_name_hides_is_a_warning(s3: S3, store: Store, journal: str) -> None:
    for key in ("tenant/.s3sftp/theirs", "tenant/.s3sftp"):
        await s3.put(key)
        found = {
            finding.what: finding for finding in await check(options_for(store, s3.bucket, journal=journal))
        }
        assert (found["journal"].state, "hidden" in found["journal"].text) == ("warning", True)
        await s3.delete(key)
