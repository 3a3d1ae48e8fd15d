"""Finds out which conditions of requests the store honours, before an operation relies on them.

A refused condition shows in the reply. An ignored one does not: the store makes a change that it should have
refused, and reports success. So an unknown store is given an object of our own and asked for changes that
conditions forbid:

    PUT probe                               below the server's reserved name
    PUT probe, if there is none             412, or conditional writes are ignored
    COPY probe to itself, if there is none  412, or conditional copies are
    COPY probe to itself, another version   412, or copies of one version are
    DELETE probe, another version           412, or conditional deletes are
    DELETE probe

This happens once per server. A probe that could not be made is repeated after a minute, and its condition is
not relied on until then: a HEAD precedes the request. See docs/decisions/0031.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.credentials.user_scope import in_scope
from s3sftp.backends.s3.errors import has_status, is_refusal
from s3sftp.backends.s3.features import CONDITIONS, Feature
from s3sftp.backends.s3.keys import reserved_prefix
from s3sftp.backends.s3.metadata.objects import Fields, placement
from s3sftp.backends.s3.recovery.bucket_journal import put_small
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.completion import require_conditions
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

OTHER_VERSION: Final = '"00000000000000000000000000000000"'
"""An ETag that no object has."""
PROBE: Final = "probe-"
"""Prefix of the names of probe objects."""
_PAUSE_SECONDS: Final = 60.0

_log = get_logger("s3sftp.s3")


class ConditionalSupport:
    """Probes the conditions of one store for all operations."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._features = client.features
        self._trying = asyncio.Lock()
        self._not_before = 0.0
        self._is_tried = False

    @property
    def are_known(self) -> bool:
        """Whether the store's name tells which conditions it ignores."""
        return self._features.is_recognised or self._features.is_aws

    async def probe(self) -> None:
        """Find out which conditions the store ignores, unless that is known. Never fails: a condition that
        could not be probed is not relied on and is probed again later."""
        if self._is_settled():
            return
        with in_scope(None):  # a user's session policy does not reach the server's own keys
            await self._probe()

    async def _probe(self) -> None:
        async with self._trying:
            if self._is_settled():
                return
            key = f"{reserved_prefix(self._client.options.prefix)}{PROBE}{uuid.uuid4().hex}"
            try:
                await self._try(key)
                self._is_tried = True
            except StorageError as error:
                self._not_before = time.monotonic() + _PAUSE_SECONDS
                _log.info("s3.condition_probe_failed", error=str(error), detail=error.detail)
            finally:
                with suppress(StorageError):
                    await delete_object(self._client, key)

    def are_relied_on(self, feature: Feature) -> bool:
        """Whether a condition is as safe as a HEAD before: it is honoured, or its refusal will show."""
        is_known = self.are_known or self._is_tried or self._features.is_certain(feature)
        return is_known and self._features.has(feature)

    async def prepare_write(self, key: str, conditions: Mapping[str, str], *, in_parts: bool = False) -> None:
        """Await this before a conditional write: sends a HEAD where the store may ignore the condition.

        Raises AlreadyExists: if `IfNoneMatch` does not hold. Raises Changed: if `IfMatch` does not hold.
        """
        if not conditions or self.are_known:
            return
        await self.probe()
        # Only PutObject was probed, and some stores honour If-None-Match on it alone.
        is_tried = self._features.is_certain(Feature.CONDITIONAL_WRITES)
        in_doubt = in_parts or "IfMatch" in conditions or not is_tried
        if self._features.has(Feature.CONDITIONAL_WRITES) and in_doubt:
            await require_conditions(self._client, key, conditions)

    def _is_settled(self) -> bool:
        return (
            self._is_tried
            or self.are_known
            or all(self._features.is_certain(feature) for feature in CONDITIONS)
            or time.monotonic() < self._not_before
        )

    async def _try(self, key: str) -> None:
        """Run all probes, even if some fail, as they are independent; then raise the first failure."""
        client = self._client
        await put_small(client, key, b"")
        probes: dict[Feature, Callable[[], Awaitable[object]]] = {
            Feature.CONDITIONAL_WRITES: lambda: put_small(client, key, b"", IfNoneMatch="*"),
            Feature.CONDITIONAL_COPIES: lambda: copy_to_itself(client, key, IfNoneMatch="*"),
            Feature.MATCHED_COPIES: lambda: copy_to_itself(client, key, CopySourceIfMatch=OTHER_VERSION),
            Feature.CONDITIONAL_DELETES: lambda: client.call("DeleteObject", Key=key, IfMatch=OTHER_VERSION),
        }
        if not client.has_parameter("CopyObject", "IfNoneMatch"):
            del probes[Feature.CONDITIONAL_COPIES]
        failed: list[StorageError] = []
        for feature, request in probes.items():
            try:
                await self._see(feature, request)
            except StorageError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    async def _see(self, feature: Feature, request: Callable[[], Awaitable[object]]) -> None:
        """Send a request that its condition forbids. A refusal of the condition itself is left to the
        operation that needs it."""
        if not self._features.is_certain(feature) and (honoured := await is_honoured(request())) is not None:
            if honoured:
                self._features.seen(feature)
            else:
                self._features.lacks(feature, "a condition that could not be met was ignored")


async def is_honoured(request: Awaitable[object]) -> bool | None:
    """Whether the store honours the condition, which does not hold, of a request; None if it refuses such
    requests.

    Raises StorageError: if the request fails for another reason.
    """
    try:
        await request
    except StorageError as error:
        if has_status(error, 404, 409, 412):
            return True
        if is_refusal(error):
            return None
        raise
    return False


async def copy_to_itself(client: S3Client, key: str, **more: Any) -> None:
    """Copy a small object of ours onto itself, with the additional fields `more`.

    Raises StorageError: if it fails.
    """
    fields: Fields = {**placement(client.options), **more}
    fields.pop("StorageClass", None)
    await client.call(
        "CopyObject",
        kind=RequestKind.JOIN,
        Key=key,
        CopySource={"Bucket": client.options.bucket, "Key": key},
        MetadataDirective="REPLACE",
        **fields,
    )
