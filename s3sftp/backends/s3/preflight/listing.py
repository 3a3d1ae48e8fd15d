"""Probes listings for `s3sftp check`: pages, and whether existing and missing names are told apart."""

from __future__ import annotations

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.errors import is_denied, request_error_behind
from s3sftp.backends.s3.features import CONSEQUENCES, Feature
from s3sftp.backends.s3.recovery.bucket_journal import put_small
from s3sftp.backends.s3.requests.list_pages import first_lines, is_listed
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import NotFound, StorageError

_NAMES = ("a", "b", "c")


async def probe_pages(store: S3Client, probe: str) -> Finding:
    """Probe that listings continue from page to page and contain all names, in either version."""
    keys = [f"{probe}-listed/{name}" for name in _NAMES]
    try:
        for key in keys:
            await put_small(store, key, b"")
        found = await _listed_one_by_one(store, f"{probe}-listed/")
        by_name = [await is_listed(store, name) for name in (keys[0], f"{probe}-listed/", f"{keys[0]}-no")]
    except StorageError as error:
        advice = advice_for(error) or "use another store: directories cannot be shown"
        return Finding("listings", "failed", f"{error} ({error.detail})", advice)
    finally:
        for key in keys:
            await _removed(store, key)
    if found != keys or by_name != [True, True, False]:
        return Finding(
            "listings", "failed", "a listing does not show what was written", "use another store: files hide"
        )
    missing = [each for each in (Feature.LIST_V2, Feature.ANY_PREFIX) if not store.features.has(each)]
    if missing:
        named = ", ".join(f'"{each}"' for each in missing)
        advice = f"set s3.lacks = [{named}] so that the server knows it from the start"
        return Finding("listings", "warning", "; ".join(CONSEQUENCES[each] for each in missing), advice)
    return Finding("listings", "ok", "listings go on from page to page, and find names")


async def probe_absence(store: S3Client, probe: str) -> Finding:
    """Probe that a missing name is reported as missing."""
    try:
        await store.call("HeadObject", Key=f"{probe}-absent")
    except NotFound as error:
        trouble = request_error_behind(error)
        by_list = trouble is not None and trouble.code == "NoSuchKey"  # a reply to HEAD has no code
        how = "by LIST, as HEAD of it is refused: one request more" if by_list else "by HEAD"
        return Finding("missing names", "ok", f"what is not there is told {how}")
    except StorageError as error:
        trouble = request_error_behind(error)
        if trouble is not None and is_denied(trouble):
            return Finding(
                "missing names",
                "failed",
                "a name that is not there cannot be told from one that may not be read (HTTP 403)",
                "allow the server's role s3:ListBucket on the bucket, for the prefix",
            )
        return Finding("missing names", "failed", f"{error} ({error.detail})", advice_for(error))
    return Finding(
        "missing names", "failed", "the store says that a name is there that nobody made", "use another store"
    )


async def _listed_one_by_one(store: S3Client, prefix: str) -> list[str]:
    """List the keys below a prefix in pages of one."""
    return [str(line["Key"]) for line in await first_lines(store, prefix, len(_NAMES) + 1, page=1)]


async def _removed(store: S3Client, key: str) -> None:
    try:
        await delete_object(store, key)
    except StorageError:
        return  # another probe reports the reason
