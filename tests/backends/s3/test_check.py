"""`check` says what a bucket can do and what to do about the rest, and leaves nothing behind."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from pydantic import SecretStr

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3 import check
from testbed.s3_store import Store
from tests.backends.s3.conftest import options_for
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Foreign, Strip
from tests.support.s3_client import S3, s3_client

RULE = {
    "ID": "unfinished",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
}


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.state for finding in findings}


@pytest.mark.parametrize(
    ("store", "ignored"),
    [("seaweed", []), ("moto", ["conditional copies", "matched copies"])],
    indirect=["store"],
)
async def test_a_good_bucket_is_good_and_left_as_it_was(
    s3: S3, proxied: Store, proxy: FaultProxy, ignored: list[str]
) -> None:
    found = await check(options_for(proxied, s3.bucket))
    findings = states(found)
    assert findings.pop("lifecycle") == "warning"
    assert [what for what in findings if findings[what] != "ok"] == ignored
    lacks = [finding.text for finding in found if "s3.lacks" in finding.text]
    assert lacks == (['s3.lacks = ["conditional-copies", "matched-copies"] describes it'] if ignored else [])
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


# ── what the server will do, tried one by one ───────────────────────────────────────────────────────

NOT_IMPLEMENTED = Answer(501, "NotImplemented")
LOOKS = {
    "conditional writes": ("conditional-writes", "PutObject", "if-none-match"),
    "conditional copies": ("conditional-copies", "CopyObject", "if-none-match"),
    "matched copies": ("matched-copies", "CopyObject", "x-amz-copy-source-if-match"),
    "conditional deletes": ("conditional-deletes", "DeleteObject", "if-match"),
    "versions": ("matched-reads", "GetObject", "if-match"),
    "batch deletes": ("batch-deletes", "DeleteObjects", ""),
}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


@pytest.mark.parametrize("what", LOOKS)
async def test_what_is_refused_is_named_with_the_option(
    s3: S3, proxied: Store, proxy: FaultProxy, what: str
) -> None:
    feature, api, header = LOOKS[what]
    proxy.on(api, do=NOT_IMPLEMENTED, header=f"^{header}")
    found = by_name(await check(options_for(proxied, s3.bucket)))
    assert (found[what].state, "refuses" in found[what].text) == ("warning", True)
    assert f'"{feature}"' in found[what].advice
    assert found["store"].text == f's3.lacks = ["{feature}"] describes it'
    assert [name for name, finding in found.items() if finding.state != "ok"] == sorted(
        [what, "lifecycle"], key=list(found).index
    )
    assert await s3.keys() == []
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize("what", ["conditional writes", "conditional deletes", "at the end of an upload"])
async def test_what_is_ignored_is_told_from_what_is_refused(
    s3: S3, proxied: Store, proxy: FaultProxy, what: str
) -> None:
    _, api, header = LOOKS.get(what, ("", "CompleteMultipartUpload", "if-none-match"))
    proxy.on(api, do=Strip(header), header=f"^{header}")
    found = by_name(await check(options_for(proxied, s3.bucket)))
    finding = found.get(what, found["conditional writes"])
    assert finding.state == "warning"
    assert "ignores" in finding.text
    assert api in finding.text
    assert await s3.keys() == []
    assert await s3.multipart_uploads() == []


async def test_what_the_options_say_is_lacking_is_not_tried(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    lacking = [feature for feature, _, _ in LOOKS.values()]
    found = by_name(await check(options_for(proxied, s3.bucket, lacks=lacking)))
    assert {found[what].state for what in LOOKS} == {"ok"}
    assert not proxy.log.of("DeleteObjects")
    assert not [seen for seen in proxy.log.of("DeleteObject") if "if-match" in seen.headers]


async def test_a_batch_that_is_answered_and_not_done_is_seen(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    proxy.on("DeleteObjects", do=Foreign(b"<DeleteResult></DeleteResult>"))
    finding = by_name(await check(options_for(proxied, s3.bucket)))["batch deletes"]
    assert (finding.state, "removes nothing" in finding.text) == ("warning", True)
    assert await s3.keys() == []


async def test_a_store_that_refuses_the_newer_checksums_is_told_from_a_missing_permission(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    proxy.on(
        do=Answer(501, "NotImplemented", "A header you provided implies functionality"),
        header="x-amz-checksum-crc32",
    )
    found = by_name(await check(options_for(proxied, s3.bucket)))
    assert 's3.checksum = "md5"' in found["checksums"].advice
    assert (found["write"].state, found["checksums"].state) == ("ok", "warning")
    assert found["multipart"].state == "ok"
    assert '"checksums"' in found["store"].text
    assert not [name for name, finding in found.items() if "s3:PutObject" in finding.advice]
    assert await s3.keys() == []


async def test_a_store_that_refuses_the_end_of_an_upload_for_its_checksum_is_told(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    proxy.on("CompleteMultipartUpload", do=Answer(400, "InvalidDigest"), header="x-amz-checksum-type")
    found = by_name(await check(options_for(proxied, s3.bucket)))
    assert 's3.checksum = "md5"' in found["multipart"].advice or found["multipart"].state == "ok"
    assert not [name for name, finding in found.items() if "s3:PutObject" in finding.advice]
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize(
    ("options", "header", "answer", "advice"),
    [
        ({"tags": {"a": "b"}}, "x-amz-tagging", Answer(403, "AccessDenied"), "s3:PutObjectTagging"),
        ({"acl": "private"}, "x-amz-acl", Answer(403, "AccessDenied"), "s3:PutObjectAcl"),
        ({"acl": "private"}, "x-amz-acl", Answer(400, "InvalidRequest"), "leave out s3.acl"),
        (
            {"storage_class": "ODD"},
            "x-amz-storage-class",
            Answer(400, "InvalidStorageClass"),
            "s3.storage_class",
        ),
    ],
)
async def test_the_option_or_the_permission_that_keeps_a_write_from_working_is_named(
    s3: S3,
    proxied: Store,
    proxy: FaultProxy,
    options: dict[str, object],
    header: str,
    answer: Answer,
    advice: str,
) -> None:
    proxy.on(do=answer, header=f"^{header}")
    found = by_name(await check(options_for(proxied, s3.bucket, **options)))
    assert advice in found["write"].advice
    assert found["read"].state == "ok", "what follows is tried without it"
    assert await s3.keys() == []


async def test_tags_that_the_store_refuses_are_told_and_left_out(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    proxy.on(do=NOT_IMPLEMENTED, header="^x-amz-tagging")
    found = by_name(await check(options_for(proxied, s3.bucket, tags={"a": "b"})))
    assert (found["write"].state, found["tags"].state) == ("ok", "warning")
    assert 's3.lacks = ["tags"]' in found["tags"].advice


async def test_tags_are_tried_where_there_are_some(s3: S3, proxied: Store, proxy: FaultProxy) -> None:
    options = options_for(proxied, s3.bucket, tags={"a": "b c"})
    assert by_name(await check(options))["tags"].state == "ok"
    proxy.on("GetObjectTagging", do=Answer(403, "AccessDenied"))
    found = by_name(await check(options))["tags"]
    assert (found.state, "s3:GetObjectTagging" in found.advice) == ("warning", True)


@pytest.mark.parametrize("api", ["CopyObject", "DeleteObjects", "GetObject"])
async def test_probes_are_removed_whatever_fails(s3: S3, proxied: Store, proxy: FaultProxy, api: str) -> None:
    proxy.on(api, do=Answer(403, "AccessDenied"))
    found = await check(options_for(proxied, s3.bucket))
    assert [finding for finding in found if finding.state == "failed"]
    assert await s3.keys() == []
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize("feature", ["list-v2", "any-prefix"])
async def test_listings_that_take_another_form_are_a_warning_with_the_option(
    s3: S3, proxied: Store, proxy: FaultProxy, feature: str
) -> None:
    query = "^list-type=2" if feature == "list-v2" else "^prefix=.*[^/]$"
    proxy.on("ListObjectsV2", query=query, do=Answer(400, "InvalidRequest"))
    found = {finding.what: finding for finding in await check(options_for(proxied, s3.bucket))}
    assert found["listings"].state == "warning"
    assert f's3.lacks = ["{feature}"]' in found["listings"].advice
    assert found["missing names"].state == found["journal"].state == "ok"
    assert await s3.keys() == []


async def test_a_role_that_may_not_hear_that_nothing_is_there_is_named_and_not_blamed_for_deleting(
    s3: S3, proxied: Store, proxy: FaultProxy
) -> None:
    proxy.on("HeadObject", key="-absent$", do=Answer(403, "AccessDenied"))
    proxy.on("ListObjectsV2", query="^prefix=.*-absent", do=Answer(403, "AccessDenied"))
    proxy.on("ListObjectsV2", query="^delimiter=/", do=Answer(403, "AccessDenied"))
    found = {finding.what: finding for finding in await check(options_for(proxied, s3.bucket))}
    assert found["missing names"].state == "failed"
    assert "s3:ListBucket" in found["missing names"].advice
    assert found["delete"].state == "ok"


@pytest.mark.parametrize("ignored", [False, True], ids=["refused", "ignored"])
async def test_a_store_that_cannot_change_metadata_is_told_apart_from_one_that_cannot_copy(
    s3: S3, proxied: Store, proxy: FaultProxy, ignored: bool
) -> None:
    done = Foreign(b"<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>")
    proxy.on("CopyObject", do=done if ignored else NOT_IMPLEMENTED, header="^x-amz-metadata-directive")
    copy = by_name(await check(options_for(proxied, s3.bucket)))["copy"]
    assert (copy.state, 's3.late_mtime = "ignore"' in copy.advice) == ("warning", True)
    proxy.clear()
    proxy.on("CopyObject", do=NOT_IMPLEMENTED)
    copy = by_name(await check(options_for(proxied, s3.bucket)))["copy"]
    assert (copy.state, "use another store" in copy.advice) == ("failed", True)
