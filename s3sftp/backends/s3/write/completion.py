"""Sends the requests that make an object visible, and finds out whether they did.

A reply can be lost after the store has acted. A retried conditional request is then refused because of our
own object (412), a retried CompleteMultipartUpload finds no upload (404), the deadline passes without any
reply, or a proxy replies 200 although nothing is stored. So each write carries an id in the object's
metadata, and a HEAD decides whenever the outcome of an attempt is unknown.

In a store without conditional writes, a HEAD immediately before the write checks the condition:
docs/decisions/0031.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_code, has_status, is_unproven, may_lack_feature, outcome_is_unknown
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import server_time, version_of, write_id_of
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_CONDITIONS: Final[tuple[str, ...]] = ("IfNoneMatch", "IfMatch")


class CompletedWrite(NamedTuple):
    """The object that is now stored under the key."""

    version: str | None
    written_at: float | None
    """When it was written, in seconds of the store's clock."""
    checksum: str | None = None
    """That of the whole object, which the store has verified, as in `Upload.checksum`."""
    version_id: str | None = None
    """The version's id, in a bucket with versions."""


async def complete_write(
    client: S3Client,
    api: str,
    key: str,
    ours: Callable[[Answer], bool],
    *,
    kind: RequestKind,
    moved_bytes: int,
    **parameters: Any,
) -> CompletedWrite:
    """Send a request that makes an object visible; `ours` tells from a HEAD whether it succeeded.

    If the reply proves nothing and the object is not visible, the request is sent once more. CopyObject is
    sent unchanged. For other requests, if the store refuses conditions, a HEAD checks them instead.

    Raises AlreadyExists: if `IfNoneMatch` does not hold. Raises Changed: if `IfMatch` does not hold. Raises
    StorageError: if the request fails otherwise. After any of them nothing is visible, as far as can be
    known.
    """

    async def send(sent: dict[str, Any]) -> CompletedWrite:
        return await _send(client, api, key, ours, kind, moved_bytes, sent)

    conditions = {name: parameters[name] for name in _CONDITIONS if name in parameters}
    if api == "CopyObject" or not conditions:
        return await send(parameters)
    unconditional = {name: value for name, value in parameters.items() if name not in conditions}
    if not client.features.has(Feature.CONDITIONAL_WRITES):
        await require_conditions(client, key, conditions)
        return await send(unconditional)
    try:
        return await send(parameters)
    except StorageError as error:
        if not may_lack_feature(client.features, Feature.CONDITIONAL_WRITES, error):
            raise
        refused = error
    await require_conditions(client, key, conditions)
    return await client.features.do_without(Feature.CONDITIONAL_WRITES, refused, send(unconditional))


async def require_conditions(client: S3Client, key: str, conditions: Mapping[str, str]) -> None:
    """Check the conditions of a write by HEAD.

    Raises AlreadyExists: if `IfNoneMatch` does not hold. Raises Changed: if `IfMatch` does not hold.
    """
    try:
        head: Answer | None = await client.call("HeadObject", Key=key)
    except NotFound:
        head = None
    if "IfNoneMatch" in conditions and head is not None:
        raise AlreadyExists(detail="it came meanwhile")
    if "IfMatch" in conditions and (head is None or version_of(head) != conditions["IfMatch"]):
        raise Changed(detail="it is another version by now")


async def _send(
    client: S3Client,
    api: str,
    key: str,
    ours: Callable[[Answer], bool],
    kind: RequestKind,
    moved_bytes: int,
    parameters: dict[str, Any],
) -> CompletedWrite:
    for is_repeated in (False, True):
        try:
            answer = await client.call(api, kind=kind, moved_bytes=moved_bytes, Key=key, **parameters)
            break
        except StorageError as error:
            # 412 may answer a repetition that a proxy sent by itself after a broken connection
            conditional = any(name in parameters for name in _CONDITIONS)
            in_doubt = (
                is_repeated or outcome_is_unknown(error) or (conditional and has_status(error, 409, 412))
            )
            found = await _head_or_none(client, key) if in_doubt else None
            if found is not None and ours(found):
                _log.info("s3.write_confirmed", api=api)
                return CompletedWrite(
                    version_of(found), server_time(found), version_id=found.get("VersionId")
                )
            if is_unproven(error) and not is_repeated:
                continue
            refusal = _refused(error, parameters, found)
            if refusal is error:
                raise
            raise refusal from error
    result = answer.get("CopyObjectResult", answer)
    return CompletedWrite(version_of(result), server_time(answer), version_id=answer.get("VersionId"))


def written_by(write_id: str) -> Callable[[Answer], bool]:
    """Return a function that tells from a HEAD whether this write created the object."""
    return lambda head: write_id_of(head) == write_id


async def _head_or_none(client: S3Client, key: str) -> Answer | None:
    """Send a HEAD. None if it fails, because the earlier failure is the one to report."""
    try:
        return await client.call("HeadObject", Key=key)
    except StorageError:
        return None


def _refused(error: StorageError, parameters: dict[str, Any], found: Answer | None) -> StorageError:
    """Convert the error into that of the condition that did not hold; `found` is the existing object."""
    conflict = has_status(error, 409) and found is not None
    if "IfNoneMatch" in parameters and (conflict or has_status(error, 412)):
        return AlreadyExists(detail=error.detail)
    # AWS replies 404 if the object to match is gone. A lost upload and a missing bucket are 404 too.
    gone = has_status(error, 404) and not has_code(error, "NoSuchUpload", "NoSuchBucket")
    if "IfMatch" in parameters and (gone or has_status(error, 412)):
        return Changed(detail=error.detail)
    return error
