"""Maps the failures of botocore, aiohttp and S3 to the server's errors: the only table of them.

A failure becomes a `RequestError`, which describes it for this package and carries the `StorageError` that
the client sees. The text of a `StorageError` contains no bucket, key, endpoint or request id; those go into
`detail`, for the log.

An attempt is *unknown* if the store may have executed it although no conclusive reply arrived: the reply was
lost, the store broke, or the reply proves nothing. The code that completes an upload must then look at the
object before it reports a failure.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed
from s3sftp.backends.s3.features import CONDITIONS, Feature, Features
from s3sftp.backends.s3.http.reply_evidence import UnprovenChange, UnprovenReply
from s3sftp.backends.s3.retry_policy import RetryAdvice
from s3sftp.errors import (
    Busy,
    Changed,
    ConfigurationError,
    InvalidRequest,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotFound,
    PermissionDenied,
    StorageError,
    StorageFailure,
    TimedOut,
    Unsupported,
)

UNREACHABLE = "storage cannot be reached"
REFUSED = "storage refuses the server's credentials"
UNPROVEN = "storage gave no valid answer"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """The meaning of a failure: the error to raise, the retry advice, and whether the outcome is unknown."""

    error: type[StorageError]
    retry: RetryAdvice = RetryAdvice.NEVER
    unknown: bool = False
    text: str | None = None


_FAILED = ErrorRule(StorageFailure)
_BROKE = ErrorRule(StorageFailure, RetryAdvice.LATER, unknown=True)
_SLOW_DOWN = ErrorRule(Busy, RetryAdvice.LATER)
_TIMED_OUT = ErrorRule(TimedOut, RetryAdvice.LATER, unknown=True)
_DENIED = ErrorRule(PermissionDenied)
_STALE = ErrorRule(StorageFailure, RetryAdvice.RENEWED, text=REFUSED)
_NOT_CONNECTED = ErrorRule(StorageFailure, RetryAdvice.LATER, text=UNREACHABLE)
CONNECTION_LOST = ErrorRule(StorageFailure, RetryAdvice.LATER, unknown=True, text=UNREACHABLE)
_MISCONFIGURED = ErrorRule(StorageFailure, text="storage is misconfigured")

CODES: Mapping[str, ErrorRule] = {
    "NoSuchKey": ErrorRule(NotFound),
    "NoSuchVersion": ErrorRule(NotFound),
    "NotFound": ErrorRule(NotFound),
    "NoSuchBucket": _MISCONFIGURED,
    "NoSuchUpload": ErrorRule(StorageFailure, text="storage has lost the upload"),
    "PermanentRedirect": _MISCONFIGURED,
    "AuthorizationHeaderMalformed": _MISCONFIGURED,
    "IllegalLocationConstraintException": _MISCONFIGURED,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "InvalidObjectState": ErrorRule(PermissionDenied, text="file is archived"),
    "ObjectNotInActiveTierError": ErrorRule(PermissionDenied, text="file is archived"),
    "ExpiredToken": _STALE,
    "ExpiredTokenException": _STALE,
    "TokenRefreshRequired": _STALE,
    "InvalidToken": _STALE,
    "InvalidAccessKeyId": _STALE,
    "SignatureDoesNotMatch": _STALE,
    "RequestExpired": _STALE,
    "RequestTimeTooSkewed": ErrorRule(StorageFailure, text="storage refuses the server's clock"),
    "PreconditionFailed": ErrorRule(Changed),
    "ConditionalRequestConflict": ErrorRule(Changed, RetryAdvice.LATER),
    "OperationAborted": ErrorRule(Busy, RetryAdvice.LATER),
    "InvalidRange": ErrorRule(Changed),
    "KeyTooLongError": ErrorRule(InvalidRequest, text="path too long"),
    # codes of stores that keep objects as files
    "XMinioInvalidObjectName": ErrorRule(InvalidRequest, text="storage takes no such name"),
    "XMinioParentIsObject": ErrorRule(NotADirectory),
    "ObjectParentIsFile": ErrorRule(NotADirectory),
    "XMinioObjectExistsAsDirectory": ErrorRule(IsADirectory),
    "ExistingObjectIsDirectory": ErrorRule(IsADirectory),
    "EntityTooLarge": ErrorRule(InvalidRequest, text="file too large"),
    "EntityTooSmall": _FAILED,
    "InvalidPart": _FAILED,
    "InvalidPartOrder": _FAILED,
    "BadDigest": _BROKE,
    "InvalidDigest": _FAILED,
    "InvalidTag": _FAILED,
    "XAmzContentChecksumMismatch": _BROKE,
    "XAmzContentSHA256Mismatch": _BROKE,
    "IncompleteBody": _BROKE,
    "MethodNotAllowed": ErrorRule(Unsupported),
    "NotImplemented": ErrorRule(Unsupported),
    "QuotaExceeded": ErrorRule(NoSpace),
    "XMinioStorageFull": ErrorRule(NoSpace),
    "SlowDown": _SLOW_DOWN,
    "ServiceUnavailable": _SLOW_DOWN,
    "RequestLimitExceeded": _SLOW_DOWN,
    "TooManyRequests": _SLOW_DOWN,
    "TooManyRequestsException": _SLOW_DOWN,
    "Throttling": _SLOW_DOWN,
    "ThrottlingException": _SLOW_DOWN,
    "ThrottledException": _SLOW_DOWN,
    "BandwidthLimitExceeded": _SLOW_DOWN,
    "RequestTimeout": _BROKE,
    "RequestTimeoutException": _BROKE,
    "InternalError": _BROKE,
    "InternalFailure": _BROKE,
}
"""Rules by the error code in the reply's body."""

STATUSES: Mapping[int, ErrorRule] = {
    301: _MISCONFIGURED,
    307: _SLOW_DOWN,
    400: _FAILED,
    401: _STALE,
    403: _DENIED,
    404: ErrorRule(NotFound),
    405: ErrorRule(Unsupported),
    408: _BROKE,
    409: ErrorRule(Busy, RetryAdvice.LATER),
    411: _FAILED,
    412: ErrorRule(Changed),
    416: ErrorRule(Changed),
    429: _SLOW_DOWN,
    501: ErrorRule(Unsupported),
    503: _SLOW_DOWN,
    507: ErrorRule(NoSpace),
}
"""Rules by HTTP status, for replies without a known code. A reply to HEAD never has one."""

UNMADE = (
    boto.EndpointProviderError,
    boto.UnsupportedS3ConfigurationError,
    boto.UnsupportedS3AccesspointConfigurationError,
    boto.MissingDependencyException,
)
"""botocore's refusals of contradictory settings, such as an access point with acceleration."""

EXCEPTIONS: tuple[tuple[type[BaseException], ErrorRule], ...] = (
    # the order matters: the first match applies
    (UnprovenChange, ErrorRule(StorageFailure, unknown=True, text=UNPROVEN)),
    (UnprovenReply, ErrorRule(StorageFailure, RetryAdvice.LATER, unknown=True, text=UNPROVEN)),
    (boto.ConnectTimeoutError, _NOT_CONNECTED),
    (boto.ReadTimeoutError, _TIMED_OUT),
    (boto.EndpointConnectionError, CONNECTION_LOST),  # botocore reports aiohttp's resets as this too
    (boto.ProxyConnectionError, _NOT_CONNECTED),
    (boto.SSLError, _NOT_CONNECTED),
    (boto.IncompleteReadError, CONNECTION_LOST),
    (
        boto.FlexibleChecksumError,
        ErrorRule(StorageFailure, RetryAdvice.LATER, text="storage delivered damaged data"),
    ),
    (boto.ChecksumError, ErrorRule(StorageFailure, RetryAdvice.LATER, text="storage delivered damaged data")),
    (boto.HTTPClientError, CONNECTION_LOST),
    (ResponseParserError, _BROKE),
    (CredentialSourceFailed, ErrorRule(StorageFailure, text=REFUSED)),  # each request tries the source again
    (ConfigurationError, _MISCONFIGURED),
    (boto.NoCredentialsError, _STALE),
    (boto.PartialCredentialsError, _MISCONFIGURED),
    (boto.TokenRetrievalError, _STALE),
    (boto.CredentialRetrievalError, _STALE),
    *((kind, _MISCONFIGURED) for kind in UNMADE),
    (boto.ParamValidationError, ErrorRule(InvalidRequest)),
    (boto.BotoCoreError, _FAILED),
    (aiohttp.ClientSSLError, _NOT_CONNECTED),
    (aiohttp.ClientConnectorError, _NOT_CONNECTED),
    (aiohttp.InvalidURL, _MISCONFIGURED),
    (aiohttp.ClientError, CONNECTION_LOST),
    (asyncio.TimeoutError, _TIMED_OUT),
    (OSError, CONNECTION_LOST),
)


_ABOUT_KEYS = ("KMS.", "ServerSideEncryption")
"""Prefixes of error codes about the encryption key, which may be usable again in a moment."""
_SAYING_NOTHING = ("", "400", "BadRequest")
"""Codes of replies without a code: a proxy in front of the store sends those for reasons of its own."""
_ABOUT_THE_REQUEST = re.compile(
    r"header|x-amz-|if-(none-)?match|condition|checksum|crc|tagging|implement|support", re.IGNORECASE
)


class RequestError(Exception):
    """One failed request: the cause (`__cause__`) of the StorageError that the rest of the server sees."""

    def __init__(
        self,
        api: str,
        meaning: ErrorRule,
        code: str,
        status: int = 0,
        *,
        message: str = "",
        date: str = "",
        server: str = "",
        request_ids: tuple[str, str] = ("", ""),
    ) -> None:
        super().__init__(f"{api}: {code} {message}".rstrip())
        self.api = api
        self.meaning = meaning
        self.code = code
        """S3's error code, or the exception's name if there was no reply."""
        self.status = status
        """HTTP status; 0 if there was no reply."""
        self.date = date
        """The store's clock: the Date header of its reply."""
        self.server = server
        """The Server header of the reply."""
        self.request_ids = request_ids
        """`x-amz-request-id` and `x-amz-id-2` of the reply; empty if it has none."""
        self.unknown = meaning.unknown
        """Whether the store may have executed this attempt, or an earlier one of the same request."""

    @property
    def is_outcome(self) -> bool:
        """Whether the store may have executed the request, or has evaluated its condition."""
        return self.unknown or self.status in (409, 412)

    @property
    def is_throttle(self) -> bool:
        """Whether the store asks the server to slow down."""
        return self.meaning is _SLOW_DOWN and self.status != 307

    def error(self, key: str) -> StorageError:
        """Return the error for the client, with the operator's details in `detail`."""
        meant = 300 <= self.status < 500 and self.status not in (408, 429)
        return self.meaning.error(
            self.meaning.text, detail=f"{self} (HTTP {self.status}, key {key!r})", lasting=meant
        )


def classify(api: str, failure: BaseException) -> RequestError | None:
    """Classify a failure. None if neither the store nor the network caused it, so it is a bug of our own."""
    if isinstance(failure, boto.ClientError):
        return _of_answer(api, failure.response)
    for kind, meaning in EXCEPTIONS:
        if isinstance(failure, kind):
            request_error = RequestError(api, meaning, type(failure).__name__, message=str(failure))
            request_error.__cause__ = failure
            return request_error
    return None


def request_error_behind(error: StorageError) -> RequestError | None:
    """Return the `RequestError` that caused a StorageError; None if no request did."""
    return error.__cause__ if isinstance(error.__cause__, RequestError) else None


def outcome_is_unknown(error: StorageError) -> bool:
    """Whether the store may have executed the request that failed with this error."""
    request_error = request_error_behind(error)
    return request_error is not None and request_error.unknown


def is_denied(request_error: RequestError) -> bool:
    """Whether the store refused the request because a permission is missing."""
    return request_error.meaning is _DENIED


def is_outcome(error: StorageError) -> bool:
    """Whether a request sent after a refusal failed in a way that outweighs the refusal."""
    request_error = request_error_behind(error)
    return request_error is not None and request_error.is_outcome


def is_unproven(error: StorageError) -> bool:
    """Whether the failed request got a success status without the evidence of a success."""
    request_error = request_error_behind(error)
    return request_error is not None and isinstance(request_error.__cause__, UnprovenReply)


def has_code(error: StorageError, *codes: str) -> bool:
    request_error = request_error_behind(error)
    return request_error is not None and request_error.code in codes


def has_status(error: StorageError, *statuses: int) -> bool:
    request_error = request_error_behind(error)
    return request_error is not None and request_error.status in statuses


def is_refusal(error: StorageError) -> bool:
    """Whether the store may mean by this error that it lacks what the request asked for.

    Status 400 and 501 have other reasons too, so the proof is that the same request succeeds without it.
    """
    request_error = request_error_behind(error)
    if request_error is None:
        return False
    if request_error.code in ("NotImplemented", "MethodNotAllowed"):
        return request_error.status in (400, 405, 501) or request_error.code == "NotImplemented"
    if request_error.code in CODES or request_error.code.startswith(_ABOUT_KEYS):
        return False
    if request_error.code in _SAYING_NOTHING and request_error.status == 400:
        return _ABOUT_THE_REQUEST.search(str(request_error)) is not None
    return request_error.status in (400, 405, 501)


def may_lack_feature(features: Features, feature: Feature, refused: StorageError) -> bool:
    """Whether the store may mean by this error that it lacks the feature.

    A 400, which a policy or a proxy may cause, is no evidence against a feature that the store surely has,
    unless its code is NotImplemented.
    """
    is_about_it = is_condition_refusal if feature in CONDITIONS else is_refusal
    is_plain = not has_status(refused, 400) or has_code(refused, "NotImplemented")
    return is_about_it(refused) and (is_plain or not features.surely_has(feature))


def is_condition_refusal(error: StorageError) -> bool:
    """Like `is_refusal`, for a request with a condition: false if the store's message is about a checksum."""
    return is_refusal(error) and "checksum" not in str(request_error_behind(error)).lower()


def is_batch_refusal(error: StorageError) -> bool:
    """Like `is_refusal`, for DeleteObjects: a store without it treats the bucket as an object (404)."""
    return is_refusal(error) or (has_status(error, 404) and not has_code(error, "NoSuchBucket"))


def _of_answer(api: str, response: Mapping[str, Any]) -> RequestError:
    said = response.get("Error", {})
    about = response.get("ResponseMetadata", {})
    code, status = str(said.get("Code", "")), int(about.get("HTTPStatusCode", 0))
    meaning = CODES.get(code) or STATUSES.get(status) or (_BROKE if status >= 500 else _FAILED)
    headers = about.get("HTTPHeaders", {})
    return RequestError(
        api,
        meaning,
        code,
        status,
        message=str(said.get("Message", "")),
        date=headers.get("date", ""),
        server=headers.get("server", ""),
        request_ids=(headers.get("x-amz-request-id", ""), headers.get("x-amz-id-2", "")),
    )
