"""Looks of `check`: is an object written, and which option is in the way when it is not?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.advice import advice_on
from s3sftp.backends.s3.checking_answers import put, refused
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.failures import cause_of, is_denied, is_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.options import S3Options
from s3sftp.errors import StorageError


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that the options add to each write, and a store may refuse."""

    without: dict[str, Any]
    """Options that leave it out."""
    advice: str
    """What to do when the store does not know it."""
    permission: str = ""
    """What to allow when the role may not."""
    feature: Feature | None = None
    """What the server does without by itself."""


_PARTS: Final = (
    _Part({"checksum": "md5"}, 's3.checksum = "md5"', feature=Feature.CHECKSUMS),
    _Part({"checksum": "none"}, 's3.checksum = "none"'),
    _Part({"tags": {}}, "leave out s3.tags", "s3:PutObjectTagging below the prefix", Feature.TAGS),
    _Part({"acl": None}, "leave out s3.acl", "s3:PutObjectAcl below the prefix"),
    _Part({"storage_class": None}, "leave out s3.storage_class, or name one that the store has"),
    _Part(
        {"sse": "none", "sse_kms_key_id": None, "bucket_key_enabled": None},
        'set s3.sse to "none", or to what the store has',
        "kms:GenerateDataKey and kms:Decrypt on the key",
    ),
)


async def look_write(store: Store, key: str) -> Finding:
    """PutObject with all that the options add. What follows is tried without what is refused here."""
    try:
        await put(store, key)
    except StorageError as error:
        return await _what_is_in_the_way(store, key, error)
    if store.options.tags and not store.features.has(Feature.TAGS):
        return Finding("write", "warning", "PutObject works without tags", "leave out s3.tags")
    return Finding("write", "ok", f"PutObject works, with checksum {store.options.checksum}")


async def _what_is_in_the_way(store: Store, key: str, error: StorageError) -> Finding:
    trouble = cause_of(error)
    denied = trouble is not None and is_denied(trouble)
    options = store.options
    for part in _PARTS if denied or is_refusal(error) else ():
        if (denied and not part.permission) or not _changes(options, part.without):
            continue
        store.options = options.model_copy(update=part.without)
        try:
            await put(store, key)
        except StorageError:
            store.options = options
            continue
        found = refused("write", error)
        if denied:
            return Finding("write", "failed", found.text, f"allow the server's role {part.permission}")
        if part.feature is None:
            return Finding("write", "failed", found.text, part.advice)
        store.features.lacks(part.feature, found.text)
        return Finding("write", "warning", found.text, part.advice)
    return refused("write", error, _general_advice(error))


def _changes(options: S3Options, without: dict[str, Any]) -> bool:
    return any(getattr(options, name) != value for name, value in without.items())


def _general_advice(error: StorageError) -> str:
    return advice_on(error) or "the server cannot store anything: see what the store says of this request"
