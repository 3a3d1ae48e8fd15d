"""Requests that make an object visible, and the truth about whether they did.

A reply can be lost after the store has acted. A repeated conditional request is then refused by our own
object (412), a repeated Complete finds no upload any more (404), time runs out with nothing known, or
something between us and the store says 200 and has stored nothing. So each write carries an id in the
object's metadata, and when an attempt's outcome is unknown, HEAD decides.

A store that takes no conditions on writes is asked by HEAD, immediately before: docs/decisions/0031.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_code, has_status, is_unproven, may_lack_feature, outcome_is_unknown
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import server_time, version_of, write_id_of
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_CONDITIONS: Final[tuple[str, ...]] = ("IfNoneMatch", "IfMatch")


@dataclass(frozen=True, slots=True)
class CompletedWrite:
    """What is now stored under the key."""

    version: str | None
    moment: float | None
    """When, by the store's clock."""


async def complete_write(
    store: S3Client,
    api: str,
    key: str,
    ours: Callable[[Answer], bool],
    *,
    effort: RequestKind,
    moved_bytes: int,
    **parameters: Any,
) -> CompletedWrite:
    """Send a request that publishes an object; `ours` tells from a HEAD whether it did.

    When the answer proves nothing, and nothing was published, it is sent once more. Raises AlreadyExists when
    `IfNoneMatch` was in the way, Changed when `IfMatch` was, and what else the store fails with; then, as far
    as can be known, nothing was published. CopyObject is sent as it is; of other requests a store may refuse
    conditions: then they are looked at by HEAD.
    """

    async def send(sent: dict[str, Any]) -> CompletedWrite:
        return await _send(store, api, key, ours, effort, moved_bytes, sent)

    conditions = {name: parameters[name] for name in _CONDITIONS if name in parameters}
    if api == "CopyObject" or not conditions:
        return await send(parameters)
    unconditional = {name: value for name, value in parameters.items() if name not in conditions}
    if not store.features.has(Feature.CONDITIONAL_WRITES):
        await require_conditions(store, key, conditions)
        return await send(unconditional)
    try:
        return await send(parameters)
    except StorageError as error:
        if not may_lack_feature(store.features, Feature.CONDITIONAL_WRITES, error):
            raise
        refused = error
    await require_conditions(store, key, conditions)
    return await store.features.do_without(Feature.CONDITIONAL_WRITES, refused, send(unconditional))


async def require_conditions(store: S3Client, key: str, conditions: Mapping[str, str]) -> None:
    """See by HEAD that conditions of a write hold. Raises AlreadyExists, Changed."""
    try:
        head: Answer | None = await store.call("HeadObject", Key=key)
    except NotFound:
        head = None
    if "IfNoneMatch" in conditions and head is not None:
        raise AlreadyExists(detail="it came meanwhile")
    if "IfMatch" in conditions and (head is None or version_of(head) != conditions["IfMatch"]):
        raise Changed(detail="it is another version by now")


async def _send(
    store: S3Client,
    api: str,
    key: str,
    ours: Callable[[Answer], bool],
    effort: RequestKind,
    moved_bytes: int,
    parameters: dict[str, Any],
) -> CompletedWrite:
    for is_repeated in (False, True):
        try:
            answer = await store.call(api, effort=effort, moved_bytes=moved_bytes, Key=key, **parameters)
            break
        except StorageError as error:
            # 412 may be the answer to a repetition that aiohttp made by itself, on a connection that broke
            conditional = any(name in parameters for name in _CONDITIONS)
            in_doubt = (
                is_repeated or outcome_is_unknown(error) or (conditional and has_status(error, 409, 412))
            )
            found = await _look(store, key) if in_doubt else None
            if found is not None and ours(found):
                _log.info("s3.write_confirmed", api=api)
                return CompletedWrite(version_of(found), server_time(found))
            if is_unproven(error) and not is_repeated:
                continue
            refusal = _refused(error, parameters, found)
            if refusal is error:
                raise
            raise refusal from error
    result = answer.get("CopyObjectResult", answer)
    return CompletedWrite(version_of(result), server_time(answer))


def written_by(write_id: str) -> Callable[[Answer], bool]:
    """Whether the object is of this write."""
    return lambda head: write_id_of(head) == write_id


async def _look(store: S3Client, key: str) -> Answer | None:
    """HEAD, if it can be had: the failure before it is the one to report."""
    try:
        return await store.call("HeadObject", Key=key)
    except StorageError:
        return None


def _refused(error: StorageError, parameters: dict[str, Any], found: Answer | None) -> StorageError:
    """The error in the words of the condition that was not met; `found` is what is there."""
    conflict = has_status(error, 409) and found is not None
    if "IfNoneMatch" in parameters and (conflict or has_status(error, 412)):
        return AlreadyExists(detail=error.detail)
    # AWS answers 404 when the object to match is gone; a lost upload and a bucket that is gone are 404 too
    gone = has_status(error, 404) and not has_code(error, "NoSuchUpload", "NoSuchBucket")
    if "IfMatch" in parameters and (gone or has_status(error, 412)):
        return Changed(detail=error.detail)
    return error
