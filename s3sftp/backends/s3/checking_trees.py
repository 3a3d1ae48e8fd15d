"""Looks of `check`: batches of deletes, which a directory's rename ends with, and tags."""

from __future__ import annotations

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.checking_answers import is_there, missing, put, refused, told
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.failures import is_batch_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.errors import StorageError

_BATCHES = "batch deletes"


async def look_batch_deletes(store: Store, key: str) -> Finding:
    """DeleteObjects removes what it says."""
    if (finding := told(store, _BATCHES, Feature.BATCH_DELETES)) is not None:
        return finding
    keys = [f"{key}-other", f"{key}-more"]
    try:
        for each in keys:
            await put(store, each)
        await store.call("DeleteObjects", Delete={"Objects": [{"Key": each} for each in keys]})
        left = [each for each in keys if await is_there(store, each)]
    except StorageError as error:
        if is_batch_refusal(error):
            return missing(store, _BATCHES, Feature.BATCH_DELETES, "the store refuses DeleteObjects")
        return refused(_BATCHES, error)
    if left:
        text = "the store answers DeleteObjects with success, and removes nothing"
        return missing(store, _BATCHES, Feature.BATCH_DELETES, text)
    return Finding(_BATCHES, "ok", "DeleteObjects works")


async def look_tags(store: Store, key: str) -> Finding:
    """The tags of the options are kept, and can be read for copies in parts."""
    if (finding := told(store, "tags", Feature.TAGS)) is not None:
        return finding
    if not store.options.tags:
        return Finding("tags", "ok", "not used: s3.tags is empty")
    try:
        answer = await store.call("GetObjectTagging", Key=key)
    except StorageError as error:
        return refused("tags", error, "copies of large files lose their tags", state="warning")
    kept = {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}
    if kept != store.options.tags:
        return missing(store, "tags", Feature.TAGS, "the store ignores the tags of what is written")
    return Finding("tags", "ok", "tags are kept, and can be read")
