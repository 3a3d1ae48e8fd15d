"""Deletes one version of an object, and leaves any other alone, whatever the store makes of If-Match."""

from __future__ import annotations

from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_status, may_lack_feature
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import version_of
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import Changed, NotFound, StorageError


async def delete_version(client: S3Client, conditions: ConditionalSupport, key: str, version: str) -> bool:
    """Delete an object unless it has another version by now. Returns whether there was an object.

    If the store lacks conditional deletes, or may ignore them, a HEAD immediately before checks the version.

    Raises Changed: if the object has another version.
    """
    if client.has_parameter("DeleteObject", "IfMatch"):
        await conditions.probe()
    has_condition = client.features.has(Feature.CONDITIONAL_DELETES)
    if not has_condition or not client.has_parameter("DeleteObject", "IfMatch"):
        return await _delete_looked_at(client, key, version)
    if not conditions.are_relied_on(Feature.CONDITIONAL_DELETES) and not await _is_still(
        client, key, version
    ):
        return False
    try:
        await delete_object(client, key, IfMatch=version)
    except NotFound:
        return False
    except StorageError as error:
        if may_lack_feature(client.features, Feature.CONDITIONAL_DELETES, error):
            looked_at = _delete_looked_at(client, key, version)
            return await client.features.do_without(Feature.CONDITIONAL_DELETES, error, looked_at)
        if not has_status(error, 412):
            raise
        if await _head(client, key) is None:
            return False
        raise Changed(detail=error.detail) from error
    return True


async def _delete_looked_at(client: S3Client, key: str, version: str) -> bool:
    """Delete an object after a HEAD has confirmed its version. Raises Changed: if it has another."""
    if not await _is_still(client, key, version):
        return False
    await delete_object(client, key)
    return True


async def _is_still(client: S3Client, key: str, version: str) -> bool:
    """Whether a HEAD finds the object. Raises Changed: if it has another version."""
    head = await _head(client, key)
    if head is not None and version_of(head) != version:
        raise Changed(detail="HEAD has told so")
    return head is not None


async def _head(client: S3Client, key: str) -> Answer | None:
    try:
        return await client.call("HeadObject", Key=key)
    except NotFound:
        return None
