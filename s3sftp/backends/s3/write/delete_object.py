"""DeleteObject, and the truth about whether it did."""

from __future__ import annotations

from typing import Any

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import is_unproven, outcome_is_unknown
from s3sftp.errors import NotFound, StorageError


async def delete_object(store: S3Client, key: str, **conditions: Any) -> None:
    """Delete one object. Succeeds if it did not exist: S3 does not tell.

    When the answer was lost, or proves nothing, HEAD tells whether the object is gone; if the answer proved
    nothing and the object is there, it is asked for once more. Raises Changed when `IfMatch` was not met, and
    what else the store fails with.
    """
    for is_repeated in (False, True):
        try:
            await store.call("DeleteObject", Key=key, **conditions)
        except StorageError as error:
            if outcome_is_unknown(error) and await _is_gone(store, key):
                return
            if is_repeated or not is_unproven(error):
                raise
        else:
            return


async def _is_gone(store: S3Client, key: str) -> bool:
    """Whether the store says that there is no such object; False when it says nothing."""
    try:
        await store.call("HeadObject", Key=key)
    except NotFound:
        return True
    except StorageError:
        return False
    return False
