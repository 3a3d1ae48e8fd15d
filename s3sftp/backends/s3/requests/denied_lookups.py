"""Finds out whether an object that may not be read exists.

S3 replies 404 only to roles that may list the bucket, so after a 403 a LIST decides:

    HEAD or GET ─► 403 ─► LIST of the key ─┬─► not listed: NotFound
                                           ├─► listed: the refusal stands
                                           └─► 403: it stands too, and the log names the missing permission
"""

from __future__ import annotations

from typing import Any, Final

from s3sftp.backends.s3.errors import CODES, RequestError, is_denied, request_error_behind
from s3sftp.backends.s3.requests.list_pages import ListClient, is_listed
from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_READS: Final = frozenset({"HeadObject", "GetObject"})
_COPIES: Final = frozenset({"CopyObject", "UploadPartCopy"})


class DeniedLookups:
    """Settles denied lookups in one store, and logs once which permission is missing for that."""

    def __init__(self, client: ListClient) -> None:
        self._client = client
        self._is_told = False

    async def explain(self, api: str, parameters: dict[str, Any], refusal: StorageError) -> StorageError:
        """Return the error to raise: NotFound if the object does not exist, else the refusal."""
        key = _key_read(api, parameters)
        if key is None or not _is_denied(refusal):
            return refusal
        try:
            if await is_listed(self._client, key):
                return refusal
        except StorageError as error:
            if _is_denied(error):
                self._tell(api, error)
            return refusal
        request_error = RequestError(
            api, CODES["NoSuchKey"], "NoSuchKey", 404, message="refused (403), and not listed"
        )
        found = request_error.error(key)
        found.__cause__ = request_error
        return found

    def _tell(self, api: str, error: StorageError) -> None:
        if self._is_told:
            return
        self._is_told = True
        _log.warning(
            "s3.existence_unknown",
            api=api,
            detail=error.detail,
            advice="grant the server's role s3:ListBucket on the bucket, for the prefix: without it, S3 "
            "answers 403 both for a missing object and for one that the role may not read",
        )


def _is_denied(error: StorageError) -> bool:
    request_error = request_error_behind(error)
    return request_error is not None and is_denied(request_error)


def _key_read(api: str, parameters: dict[str, Any]) -> str | None:
    """Return the key of the object that a request reads; None if it reads none."""
    if api in _READS:
        return str(parameters["Key"])
    return str(parameters["CopySource"]["Key"]) if api in _COPIES else None
