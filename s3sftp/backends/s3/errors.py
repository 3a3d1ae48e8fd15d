"""What S3's and the network's failures mean: the one table out of botocore and aiohttp.

A failure becomes a `RequestError` (what happened, for this package) that carries the `StorageError` (what
is said to the client: no bucket, key, endpoint or request id in its text; those go into `detail`, for the
log).

"Unknown" is the word for an attempt that may have been carried out although its answer does not say so: the
reply was lost, the store broke, or the answer proves nothing. Whoever publishes must then look before saying
that it failed.
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
    """What a failure means."""

    error: type[StorageError]
    again: RetryAdvice = RetryAdvice.NEVER
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
    # of stores that keep objects as files
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
"""By the code in the answer's body."""

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
"""By the HTTP status, when there is no code or an unknown one (the answer to HEAD never has a body)."""

UNMADE = (
    boto.EndpointProviderError,
    boto.UnsupportedS3ConfigurationError,
    boto.UnsupportedS3AccesspointConfigurationError,
    boto.MissingDependencyException,
)
"""botocore makes no request of settings that contradict each other: an access point with acceleration."""

EXCEPTIONS: tuple[tuple[type[BaseException], ErrorRule], ...] = (
    # the order matters: the first that fits
    (UnprovenChange, ErrorRule(StorageFailure, unknown=True, text=UNPROVEN)),
    (UnprovenReply, ErrorRule(StorageFailure, RetryAdvice.LATER, unknown=True, text=UNPROVEN)),
    (boto.ConnectTimeoutError, _NOT_CONNECTED),
    (boto.ReadTimeoutError, _TIMED_OUT),
    (boto.EndpointConnectionError, CONNECTION_LOST),  # aiohttp's resets come as this too
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
    (CredentialSourceFailed, ErrorRule(StorageFailure, text=REFUSED)),  # each request asks again
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
"""How codes begin that are about the key of the encryption, which may be usable again in a moment."""
_SAYING_NOTHING = ("", "400", "BadRequest")
"""Codes of an answer that has none: a proxy before the store gives such answers for reasons of its own."""
_ABOUT_THE_REQUEST = re.compile(
    r"header|x-amz-|if-(none-)?match|condition|checksum|crc|tagging|implement|support", re.IGNORECASE
)


class RequestError(Exception):
    """One failed request. The cause (`__cause__`) of the StorageError that the rest of the server sees."""

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
    ) -> None:
        super().__init__(f"{api}: {code} {message}".rstrip())
        self.api = api
        self.meaning = meaning
        self.code = code
        """S3's error code, else the exception's name."""
        self.status = status
        """HTTP status; 0 when there was no answer."""
        self.date = date
        """The store's clock, as its answer's Date header says."""
        self.server = server
        """What the store calls itself there."""
        self.unknown = meaning.unknown
        """Whether this attempt, or one before it, may have been carried out."""

    @property
    def is_outcome(self) -> bool:
        """Whether it may have been carried out, or got as far as its condition."""
        return self.unknown or self.status in (409, 412)

    @property
    def is_throttle(self) -> bool:
        """Whether the store asks to slow down."""
        return self.meaning is _SLOW_DOWN and self.status != 307

    def error(self, key: str) -> StorageError:
        """What is said to the client, with what is said to the operator."""
        meant = 300 <= self.status < 500 and self.status not in (408, 429)
        return self.meaning.error(
            self.meaning.text, detail=f"{self} (HTTP {self.status}, key {key!r})", lasting=meant
        )


def classify(api: str, failure: BaseException) -> RequestError | None:
    """What a failure means; None when it is not the store's or the network's (a mistake of our own)."""
    if isinstance(failure, boto.ClientError):
        return _of_answer(api, failure.response)
    for kind, meaning in EXCEPTIONS:
        if isinstance(failure, kind):
            trouble = RequestError(api, meaning, type(failure).__name__, message=str(failure))
            trouble.__cause__ = failure
            return trouble
    return None


def request_error_behind(error: StorageError) -> RequestError | None:
    """The trouble behind a StorageError, when a request caused it."""
    return error.__cause__ if isinstance(error.__cause__, RequestError) else None


def outcome_is_unknown(error: StorageError) -> bool:
    """Whether the request that failed with this error may have been carried out after all."""
    trouble = request_error_behind(error)
    return trouble is not None and trouble.unknown


def is_denied(trouble: RequestError) -> bool:
    """Whether the store refused a request for want of a permission."""
    return trouble.meaning is _DENIED


def is_outcome(error: StorageError) -> bool:
    """Whether a request that was sent after a refusal failed in a way that counts more than the refusal."""
    trouble = request_error_behind(error)
    return trouble is not None and trouble.is_outcome


def is_unproven(error: StorageError) -> bool:
    """Whether what failed was answered as a success, without the proof of one."""
    trouble = request_error_behind(error)
    return trouble is not None and isinstance(trouble.__cause__, UnprovenReply)


def has_code(error: StorageError, *codes: str) -> bool:
    trouble = request_error_behind(error)
    return trouble is not None and trouble.code in codes


def has_status(error: StorageError, *statuses: int) -> bool:
    trouble = request_error_behind(error)
    return trouble is not None and trouble.status in statuses


def is_refusal(error: StorageError) -> bool:
    """Whether this may be how the store says that it lacks what was asked for. That the same request without
    it succeeds is the proof: 501 and 400 have other reasons too."""
    trouble = request_error_behind(error)
    if trouble is None:
        return False
    if trouble.code in ("NotImplemented", "MethodNotAllowed"):
        return trouble.status in (400, 405, 501) or trouble.code == "NotImplemented"
    if trouble.code in CODES or trouble.code.startswith(_ABOUT_KEYS):
        return False
    if trouble.code in _SAYING_NOTHING and trouble.status == 400:
        return _ABOUT_THE_REQUEST.search(str(trouble)) is not None
    return trouble.status in (400, 405, 501)


def may_lack_feature(features: Features, feature: Feature, refused: StorageError) -> bool:
    """Whether an error may be how the store says that it lacks the feature. What it surely has is not doubted
    for a 400, which a policy or a proxy may be behind, but where it says that this is not implemented."""
    is_about_it = is_condition_refusal if feature in CONDITIONS else is_refusal
    is_plain = not has_status(refused, 400) or has_code(refused, "NotImplemented")
    return is_about_it(refused) and (is_plain or not features.surely_has(feature))


def is_condition_refusal(error: StorageError) -> bool:
    """The same of a request with a condition, unless the store says that it is about a checksum."""
    return is_refusal(error) and "checksum" not in str(request_error_behind(error)).lower()


def is_batch_refusal(error: StorageError) -> bool:
    """The same of DeleteObjects: where there is no such request, the bucket is taken for an object."""
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
    )
