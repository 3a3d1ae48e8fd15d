"""Probes for `s3sftp check` whether an object is written, and which option is the reason if it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.checksums.fallback import algorithm_for
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.errors import is_denied, is_refusal, request_error_behind
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.preflight.probes import put_probe, refusal_finding
from s3sftp.errors import StorageError


@dataclass(frozen=True, slots=True)
class _Part:
    """An addition that the options make to each write, and that a store may refuse."""

    without: dict[str, Any]
    """Options that leave the addition out."""
    advice: str
    """What to do if the store does not support it."""
    permission: str = ""
    """The permission to grant if the role lacks it."""


_PARTS: Final = (
    _Part({"checksum": "none"}, 's3.checksum = "none"'),
    _Part({"tags": {}}, "leave out s3.tags", "s3:PutObjectTagging below the prefix"),
    _Part({"acl": None}, "leave out s3.acl", "s3:PutObjectAcl below the prefix"),
    _Part({"storage_class": None}, "leave out s3.storage_class, or name one that the store has"),
    _Part(
        {"sse": "none", "sse_kms_key_id": None, "bucket_key_enabled": None},
        'set s3.sse to "none", or to what the store has',
        "kms:GenerateDataKey and kms:Decrypt on the key",
    ),
)


async def probe_write(store: S3Client, key: str) -> Finding:
    """Probe PutObject with all that the options add.

    The probes that follow leave out what is refused here.
    """
    try:
        await put_probe(store, key)
    except StorageError as error:
        return await _what_is_in_the_way(store, key, error)
    return Finding("write", "ok", f"PutObject works, with checksum {algorithm_for(store)}")


async def _what_is_in_the_way(store: S3Client, key: str, error: StorageError) -> Finding:
    trouble = request_error_behind(error)
    denied = trouble is not None and is_denied(trouble)
    options = store.options
    for part in _PARTS if denied or is_refusal(error) else ():
        if (denied and not part.permission) or not _changes(options, part.without):
            continue
        store.options = options.model_copy(update=part.without)
        try:
            await put_probe(store, key)
        except StorageError:
            store.options = options
            continue
        found = refusal_finding("write", error)
        if denied:
            return Finding("write", "failed", found.text, f"allow the server's role {part.permission}")
        return Finding("write", "failed", found.text, part.advice)
    return refusal_finding("write", error, _general_advice(error))


def _changes(options: S3Options, without: dict[str, Any]) -> bool:
    return any(getattr(options, name) != value for name, value in without.items())


def _general_advice(error: StorageError) -> str:
    return advice_for(error) or "the server cannot store anything: see what the store says of this request"
