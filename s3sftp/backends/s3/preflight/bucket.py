"""Probes the bucket itself for `s3sftp check`: access, journal, lifecycle rules and versioning."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

from s3sftp.backends.findings import Finding, State
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import has_status, request_error_behind
from s3sftp.backends.s3.keys import reserved_prefix
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.preflight.probes import CONTENT, read_probe, refusal_finding
from s3sftp.backends.s3.recovery.bucket_journal import journal_prefix, put_small
from s3sftp.backends.s3.requests.list_pages import first_lines, is_listed
from s3sftp.backends.s3.write.conditional_support import PROBE
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import StorageError

MAX_SKEW_SECONDS: Final = 300.0


async def probe_bucket(client: S3Client) -> Finding:
    """Probe LIST: the bucket answers, and the credentials and the clock are valid."""
    try:
        answer = await client.call("ListObjectsV2", Prefix=client.options.prefix, MaxKeys=1)
    except StorageError as error:
        return _unreached(error)
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    if (skew := skew_of(date)) is not None and abs(skew) > MAX_SKEW_SECONDS:
        return _wrong_clock(skew, "warning")
    return Finding("bucket", "ok", "reachable, and may be listed")


async def probe_journal(client: S3Client, claim: str) -> Finding:
    """Probe what exists below the reserved name, and whether the journal can be stored there."""
    options = client.options
    name = reserved_prefix(options.prefix)
    try:
        below = await first_lines(client, name, 1000)
        is_taken = await is_listed(client, name.removesuffix("/"))
        if options.journal == "bucket":
            await put_small(client, claim, CONTENT)
            await read_probe(client, await client.call("GetObject", Key=claim))
            await delete_object(client, claim)
    except StorageError as error:
        return Finding(
            "journal",
            "warning",
            refusal_finding("journal", error).text,
            f"allow s3:PutObject, s3:GetObject and s3:DeleteObject below {name}, or set s3.journal to"
            ' "disk" or "off": until then unfinished uploads of a crash stay',
        )
    own = (journal_prefix(options.prefix), f"{name}{PROBE}")
    hidden = [line["Key"] for line in below if not line["Key"].startswith(own)]
    hidden += [name.removesuffix("/")] if is_taken else []
    if hidden:
        return Finding(
            "journal",
            "warning",
            f"{len(hidden)} objects below {name} are hidden from users: the name is the server's",
            "move them to another name, with a tool of the store",
        )
    if options.journal == "bucket":
        return Finding("journal", "ok", f"unfinished uploads can be noted below {name}")
    return Finding("journal", "ok", f"nothing of users is below {name}, which is hidden from them")


async def probe_lifecycle(client: S3Client, _: str) -> Finding:
    """Probe whether a lifecycle rule removes what a crash leaves."""
    advice = _rule_advice(client.options)
    try:
        answer = await client.call("GetBucketLifecycleConfiguration")
    except StorageError as error:
        if has_status(error, 404):
            return Finding("lifecycle", "warning", "no lifecycle rule aborts unfinished uploads", advice)
        return refusal_finding("lifecycle", error, advice, state="warning")
    if any(_aborts(rule, client.options.prefix) for rule in answer.get("Rules", ())):
        return Finding("lifecycle", "ok", "a lifecycle rule aborts unfinished uploads")
    text = "no lifecycle rule aborts unfinished uploads below the prefix"
    return Finding("lifecycle", "warning", text, advice)


async def probe_versioning(client: S3Client, _: str) -> Finding:
    """Probe whether the bucket keeps old versions."""
    try:
        answer = await client.call("GetBucketVersioning")
    except StorageError as error:
        return refusal_finding("versioning", error, state="warning")
    if answer.get("Status") == "Enabled":
        return Finding(
            "versioning",
            "ok",
            "the bucket keeps old versions: removed and replaced files still cost",
            "have a lifecycle rule expire noncurrent versions, unless they are wanted",
        )
    return Finding("versioning", "ok", "the bucket keeps one version of each file")


def skew_of(date: str) -> float | None:
    """Seconds by which this machine's clock is ahead of the store's; None if the store reports no date."""
    try:
        return time.time() - parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _unreached(error: StorageError) -> Finding:
    request_error = request_error_behind(error)
    skew = skew_of(request_error.date) if request_error is not None else None
    code = request_error.code if request_error is not None else ""
    if code == "RequestTimeTooSkewed" or (skew is not None and abs(skew) > MAX_SKEW_SECONDS):
        return _wrong_clock(skew, "failed")
    general = "see that bucket, region, endpoint_url and credentials are right"
    return refusal_finding("bucket", error, general)


def _wrong_clock(skew: float | None, state: State) -> Finding:
    ahead = "" if skew is None else f" by {abs(skew) / 60:.0f} minutes ({'ahead' if skew > 0 else 'behind'})"
    return Finding(
        "clock", state, f"this machine's clock is wrong{ahead}", "set the clock (NTP): S3 refuses others"
    )


def _rule_advice(options: S3Options) -> str:
    rule = {
        "ID": "s3sftp-unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": options.prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    }
    return (
        "for what a crash leaves behind, add to the bucket's rules (the command replaces them all): "
        f"aws s3api put-bucket-lifecycle-configuration --bucket {options.bucket} "
        f"--lifecycle-configuration '{json.dumps({'Rules': [rule]})}'"
    )


def _aborts(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a lifecycle rule covers unfinished uploads below the prefix."""
    where = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    return (
        rule.get("Status") == "Enabled"
        and "AbortIncompleteMultipartUpload" in rule
        and prefix.startswith(where)
    )
