"""Deletes one object, and finds out whether a delete without a conclusive reply succeeded."""

from __future__ import annotations

from typing import Any

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import is_unproven, outcome_is_unknown
from s3sftp.errors import NotFound, StorageError


async def delete_object(client: S3Client, key: str, **conditions: Any) -> None:
    """Delete one object. Succeeds if it did not exist, because S3 does not report that.

    If the reply was lost or proves nothing, a HEAD finds out whether the object is gone. If the reply proved
    nothing and the object still exists, the request is sent once more.

    Raises Changed: if `IfMatch` does not hold. Raises StorageError: if the store fails otherwise.
    """
    for is_repeated in (False, True):
        try:
            await client.call("DeleteObject", Key=key, **conditions)
        except StorageError as error:
            if outcome_is_unknown(error) and await _is_gone(client, key):
                return
            if is_repeated or not is_unproven(error):
                raise
        else:
            return


async def _is_gone(client: S3Client, key: str) -> bool:
    """Whether the store confirms that the object does not exist. False if it does not reply."""
    try:
        await client.call("HeadObject", Key=key)
    except NotFound:
        return True
    except StorageError:
        return False
    return False
