"""Probes for `s3sftp check` batch deletes, with which renames of directories end, and tags."""

from __future__ import annotations

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import is_batch_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.preflight.probes import (
    known_missing,
    missing_finding,
    probe_exists,
    put_probe,
    refusal_finding,
)
from s3sftp.errors import StorageError

_BATCHES = "batch deletes"


async def probe_batch_deletes(store: S3Client, key: str) -> Finding:
    """Probe that DeleteObjects removes what it reports."""
    if (finding := known_missing(store, _BATCHES, Feature.BATCH_DELETES)) is not None:
        return finding
    keys = [f"{key}-other", f"{key}-more"]
    try:
        for each in keys:
            await put_probe(store, each)
        await store.call("DeleteObjects", Delete={"Objects": [{"Key": each} for each in keys]})
        left = [each for each in keys if await probe_exists(store, each)]
    except StorageError as error:
        if is_batch_refusal(error):
            return missing_finding(store, _BATCHES, Feature.BATCH_DELETES, "the store refuses DeleteObjects")
        return refusal_finding(_BATCHES, error)
    if left:
        text = "the store answers DeleteObjects with success, and removes nothing"
        return missing_finding(store, _BATCHES, Feature.BATCH_DELETES, text)
    return Finding(_BATCHES, "ok", "DeleteObjects works")


async def probe_tags(store: S3Client, key: str) -> Finding:
    """Probe that the tags of the options are stored and can be read, as copies in parts require."""
    if (finding := known_missing(store, "tags", Feature.TAGS)) is not None:
        return finding
    if not store.options.tags:
        return Finding("tags", "ok", "not used: s3.tags is empty")
    try:
        answer = await store.call("GetObjectTagging", Key=key)
    except StorageError as error:
        return refusal_finding("tags", error, "copies of large files lose their tags", state="warning")
    kept = {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}
    if kept != store.options.tags:
        return missing_finding(store, "tags", Feature.TAGS, "the store ignores the tags of what is written")
    return Finding("tags", "ok", "tags are kept, and can be read")
