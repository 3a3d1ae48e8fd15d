"""`check` says which checksums and parts the store takes, what is lost without, and which option helps."""

from __future__ import annotations

import pytest

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3 import check
from testbed.s3_store import Store
from tests.backends.s3.conftest import options_for
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3


async def found(store: Store, bucket: str) -> dict[str, Finding]:
    return {finding.what: finding for finding in await check(options_for(store, bucket, attempts=1))}


def warnings(findings: dict[str, Finding]) -> set[str]:
    return {each.what for each in findings.values() if each.state == "warning"}


@pytest.mark.parametrize("refusal", [Answer(501, "NotImplemented"), Answer(400, "InvalidArgument")])
async def test_refused_checksums_name_the_option_that_saves_the_attempt(
    s3: S3, proxied: Store, proxy: FaultProxy, refusal: Answer
) -> None:
    proxy.on(do=refusal, header="^x-amz-checksum-")
    findings = await found(proxied, s3.bucket)
    assert [finding.what for finding in findings.values() if finding.state == "failed"] == []
    assert (findings["checksums"].state, "MD5" in findings["checksums"].text) == ("warning", True)
    assert 's3.checksum = "md5"' in findings["checksums"].advice
    assert findings["write"].text.endswith("md5")
    assert await s3.keys() == []


@pytest.mark.parametrize(
    ("api", "code", "message", "header", "what", "feature"),
    [
        ("CompleteMultipartUpload", "InvalidDigest", "", "^x-amz-checksum-", "checksums", "whole-checksums"),
        ("UploadPartCopy", "InvalidArgument", "", "", "kept ranges", "copied-part-checksums"),
        ("CompleteMultipartUpload", "InvalidPart", "the same length", "", "part sizes", "unequal-parts"),
    ],
)
async def test_each_of_the_others_is_found_with_what_is_lost(
    s3: S3,
    proxied: Store,
    proxy: FaultProxy,
    api: str,
    code: str,
    message: str,
    header: str,
    what: str,
    feature: str,
) -> None:
    key = "-added$" if feature == "unequal-parts" else ""  # other looks have a single part
    of_the_store = warnings(await found(proxied, s3.bucket))  # none, or what the store lacks by itself
    proxy.on(api, do=Answer(400, code, message), header=header, key=key, times=1)
    findings = await found(proxied, s3.bucket)
    assert findings[what].state == "warning"
    assert f's3.lacks = ["{feature}"]' in findings[what].advice
    assert warnings(findings) == of_the_store | {what}
    assert await s3.keys() == []
    assert await s3.multipart_uploads() == []


async def test_a_store_that_copies_no_parts_is_told_before_the_first_reput(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    proxy.on("UploadPartCopy", do=Answer(403, "AccessDenied"))
    kept = (await found(proxied, s3.bucket))["kept ranges"]
    assert (kept.state, "s3:GetObject" in kept.advice) == ("failed", True)
    assert await s3.keys() == []
    assert await s3.multipart_uploads() == []
