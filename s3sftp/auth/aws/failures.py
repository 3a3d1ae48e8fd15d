"""Maps the failures of a request to AWS to `SourceFailed`: the only table of them. Pure.

A failure counts as the service being down if it would be the same for every user. One that a client could
cause by the name that it sends does not: otherwise anybody could shut out all users.
"""

from __future__ import annotations

from collections.abc import Collection

from botocore import exceptions as boto

from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed, one_line
from s3sftp.backends.s3.credentials.service_client import DENIED, STALE_CREDENTIALS, code_of, error_of

THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_UNREACHABLE = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.ConnectTimeoutError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    OSError,
)


def failure_of(failure: Exception, permission: str, for_everybody: Collection[str]) -> SourceFailed:
    """What the failure of a request means. `permission` is the one that the request needs; `for_everybody`
    are codes of errors that every user would cause."""
    if not isinstance(failure, boto.ClientError):
        return _without_answer(failure)
    code = code_of(failure)
    status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = one_line(f"{code}: {error_of(failure).get('Message', '')}")
    if code in THROTTLED:
        # the service is there; a client that hammers one name must not make it count as down
        return SourceFailed(said, "throttled", is_down=False, may_repeat=True)
    if code in DENIED:
        advice = f"{said} (the server needs the permission {permission})"
        return SourceFailed(advice, "denied", is_down=code in for_everybody)
    if code in STALE_CREDENTIALS:
        return SourceFailed(said, "denied", is_down=True)
    if status >= 500:
        return SourceFailed(said, "error", is_down=True, may_repeat=True)
    return SourceFailed(said, "error", is_down=code in for_everybody)


def _without_answer(failure: Exception) -> SourceFailed:
    if isinstance(failure, CredentialSourceFailed):
        return SourceFailed(str(failure), "no_answer", is_down=True)
    said = one_line(f"{type(failure).__name__}: {failure}")
    return SourceFailed(said, "no_answer", is_down=True, may_repeat=isinstance(failure, _UNREACHABLE))
