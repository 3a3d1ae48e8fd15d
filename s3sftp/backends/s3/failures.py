"""What S3's and the network's failures mean: the one table out of botocore and aiohttp.

A failure becomes a `Trouble` (what happened, for this package) that carries the `StorageError` (what is said
to the client: no bucket, key, endpoint or request id in its text; those go into `detail`, for the log).

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

from s3sftp.backends.s3.features import CONDITIONS, Feature, Features
from s3sftp.backends.s3.proofs import Unproven, UnprovenChange
from s3sftp.backends.s3.retries import Again
from s3sftp.backends.s3.source_failures import SourceFailed
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
class Meaning:
    """What a failure means."""

    error: type[StorageError]
    again: Again = Again.NEVER
    unknown: bool = False
    text: str | None = None


_FAILED = Meaning(StorageFailure)
_BROKE = Meaning(StorageFailure, Again.LATER, unknown=True)
_SLOW_DOWN = Meaning(Busy, Again.LATER)
_TIMED_OUT = Meaning(TimedOut, Again.LATER, unknown=True)
_DENIED = Meaning(PermissionDenied)
_STALE = Meaning(StorageFailure, Again.RENEWED, text=REFUSED)
_NOT_CONNECTED = Meaning(StorageFailure, Again.LATER, text=UNREACHABLE)
CUT = Meaning(StorageFailure, Again.LATER, unknown=True, text=UNREACHABLE)
_MISCONFIGURED = Meaning(StorageFailure, text="storage is misconfigured")

CODES: Mapping[str, Meaning] = {
    "NoSuchKey": Meaning(NotFound),
    "NoSuchVersion": Meaning(NotFound),
    "NotFound": Meaning(NotFound),
    "NoSuchBucket": _MISCONFIGURED,
    "NoSuchUpload": Meaning(StorageFailure, text="storage has lost the upload"),
    "PermanentRedirect": _MISCONFIGURED,
    "AuthorizationHeaderMalformed": _MISCONFIGURED,
    "IllegalLocationConstraintException": _MISCONFIGURED,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "InvalidObjectState": Meaning(PermissionDenied, text="file is archived"),
    "ObjectNotInActiveTierError": Meaning(PermissionDenied, text="file is archived"),
    "ExpiredToken": _STALE,
    "ExpiredTokenException": _STALE,
    "TokenRefreshRequired": _STALE,
    "InvalidToken": _STALE,
    "InvalidAccessKeyId": _STALE,
    "SignatureDoesNotMatch": _STALE,
    "RequestExpired": _STALE,
    "RequestTimeTooSkewed": Meaning(StorageFailure, text="storage refuses the server's clock"),
    "PreconditionFailed": Meaning(Changed),
    "ConditionalRequestConflict": Meaning(Changed, Again.LATER),
    "OperationAborted": Meaning(Busy, Again.LATER),
    "InvalidRange": Meaning(Changed),
    "KeyTooLongError": Meaning(InvalidRequest, text="path too long"),
    # of stores that keep objects as files
    "XMinioInvalidObjectName": Meaning(InvalidRequest, text="storage takes no such name"),
    "XMinioParentIsObject": Meaning(NotADirectory),
    "ObjectParentIsFile": Meaning(NotADirectory),
    "XMinioObjectExistsAsDirectory": Meaning(IsADirectory),
    "ExistingObjectIsDirectory": Meaning(IsADirectory),
    "EntityTooLarge": Meaning(InvalidRequest, text="file too large"),
    "EntityTooSmall": _FAILED,
    "InvalidPart": _FAILED,
    "InvalidPartOrder": _FAILED,
    "BadDigest": _BROKE,
    "InvalidDigest": _FAILED,
    "InvalidTag": _FAILED,
    "XAmzContentChecksumMismatch": _BROKE,
    "XAmzContentSHA256Mismatch": _BROKE,
    "IncompleteBody": _BROKE,
    "MethodNotAllowed": Meaning(Unsupported),
    "NotImplemented": Meaning(Unsupported),
    "QuotaExceeded": Meaning(NoSpace),
    "XMinioStorageFull": Meaning(NoSpace),
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

STATUSES: Mapping[int, Meaning] = {
    301: _MISCONFIGURED,
    307: _SLOW_DOWN,
    400: _FAILED,
    401: _STALE,
    403: _DENIED,
    404: Meaning(NotFound),
    405: Meaning(Unsupported),
    408: _BROKE,
    409: Meaning(Busy, Again.LATER),
    411: _FAILED,
    412: Meaning(Changed),
    416: Meaning(Changed),
    429: _SLOW_DOWN,
    501: Meaning(Unsupported),
    503: _SLOW_DOWN,
    507: Meaning(NoSpace),
}
"""By the HTTP status, when there is no code or an unknown one (the answer to HEAD never has a body)."""

UNMADE = (
    boto.EndpointProviderError,
    boto.UnsupportedS3ConfigurationError,
    boto.UnsupportedS3AccesspointConfigurationError,
    boto.MissingDependencyException,
)
"""botocore makes no request of settings that contradict each other: an access point with acceleration."""

EXCEPTIONS: tuple[tuple[type[BaseException], Meaning], ...] = (
    # the order matters: the first that fits
    (UnprovenChange, Meaning(StorageFailure, unknown=True, text=UNPROVEN)),
    (Unproven, Meaning(StorageFailure, Again.LATER, unknown=True, text=UNPROVEN)),
    (boto.ConnectTimeoutError, _NOT_CONNECTED),
    (boto.ReadTimeoutError, _TIMED_OUT),
    (boto.EndpointConnectionError, CUT),  # aiohttp's resets come as this too
    (boto.ProxyConnectionError, _NOT_CONNECTED),
    (boto.SSLError, _NOT_CONNECTED),
    (boto.IncompleteReadError, CUT),
    (boto.FlexibleChecksumError, Meaning(StorageFailure, Again.LATER, text="storage delivered damaged data")),
    (boto.ChecksumError, Meaning(StorageFailure, Again.LATER, text="storage delivered damaged data")),
    (boto.HTTPClientError, CUT),
    (ResponseParserError, _BROKE),
    (SourceFailed, Meaning(StorageFailure, text=REFUSED)),  # each request asks again
    (ConfigurationError, _MISCONFIGURED),
    (boto.NoCredentialsError, _STALE),
    (boto.PartialCredentialsError, _MISCONFIGURED),
    (boto.TokenRetrievalError, _STALE),
    (boto.CredentialRetrievalError, _STALE),
    *((kind, _MISCONFIGURED) for kind in UNMADE),
    (boto.ParamValidationError, Meaning(InvalidRequest)),
    (boto.BotoCoreError, _FAILED),
    (aiohttp.ClientSSLError, _NOT_CONNECTED),
    (aiohttp.ClientConnectorError, _NOT_CONNECTED),
    (aiohttp.InvalidURL, _MISCONFIGURED),
    (aiohttp.ClientError, CUT),
    (asyncio.TimeoutError, _TIMED_OUT),
    (OSError, CUT),
)


_ABOUT_KEYS = ("KMS.", "ServerSideEncryption")
"""How codes begin that are about the key of the encryption, which may be usable again in a moment."""
_SAYING_NOTHING = ("", "400", "BadRequest")
"""Codes of an answer that has none: a proxy before the store gives such answers for reasons of its own."""
_ABOUT_THE_REQUEST = re.compile(
    r"header|x-amz-|if-(none-)?match|condition|checksum|crc|tagging|implement|support", re.IGNORECASE
)


class Trouble(Exception):
    """One failed request. The cause (`__cause__`) of the StorageError that the rest of the server sees."""

    def __init__(
        self,
        api: str,
        meaning: Meaning,
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


def trouble_of(api: str, failure: BaseException) -> Trouble | None:
    """What a failure means; None when it is not the store's or the network's (a mistake of our own)."""
    if isinstance(failure, boto.ClientError):
        return _of_answer(api, failure.response)
    for kind, meaning in EXCEPTIONS:
        if isinstance(failure, kind):
            trouble = Trouble(api, meaning, type(failure).__name__, message=str(failure))
            trouble.__cause__ = failure
            return trouble
    return None


def cause_of(error: StorageError) -> Trouble | None:
    """The trouble behind a StorageError, when a request caused it."""
    return error.__cause__ if isinstance(error.__cause__, Trouble) else None


def is_unknown(error: StorageError) -> bool:
    """Whether the request that failed with this error may have been carried out after all."""
    trouble = cause_of(error)
    return trouble is not None and trouble.unknown


def is_denied(trouble: Trouble) -> bool:
    """Whether the store refused a request for want of a permission."""
    return trouble.meaning is _DENIED


def is_outcome(error: StorageError) -> bool:
    """Whether a request that was sent after a refusal failed in a way that counts more than the refusal."""
    trouble = cause_of(error)
    return trouble is not None and trouble.is_outcome


def is_unproven(error: StorageError) -> bool:
    """Whether what failed was answered as a success, without the proof of one."""
    trouble = cause_of(error)
    return trouble is not None and isinstance(trouble.__cause__, Unproven)


def has_code(error: StorageError, *codes: str) -> bool:
    trouble = cause_of(error)
    return trouble is not None and trouble.code in codes


def has_status(error: StorageError, *statuses: int) -> bool:
    trouble = cause_of(error)
    return trouble is not None and trouble.status in statuses


def is_refusal(error: StorageError) -> bool:
    """Whether this may be how the store says that it lacks what was asked for. That the same request without
    it succeeds is the proof: 501 and 400 have other reasons too."""
    trouble = cause_of(error)
    if trouble is None:
        return False
    if trouble.code in ("NotImplemented", "MethodNotAllowed"):
        return trouble.status in (400, 405, 501) or trouble.code == "NotImplemented"
    if trouble.code in CODES or trouble.code.startswith(_ABOUT_KEYS):
        return False
    if trouble.code in _SAYING_NOTHING and trouble.status == 400:
        return _ABOUT_THE_REQUEST.search(str(trouble)) is not None
    return trouble.status in (400, 405, 501)


def may_lack(features: Features, feature: Feature, refused: StorageError) -> bool:
    """Whether an error may be how the store says that it lacks the feature. What it surely has is not doubted
    for a 400, which a policy or a proxy may be behind, but where it says that this is not implemented."""
    is_about_it = is_condition_refusal if feature in CONDITIONS else is_refusal
    is_plain = not has_status(refused, 400) or has_code(refused, "NotImplemented")
    return is_about_it(refused) and (is_plain or not features.surely_has(feature))


def is_condition_refusal(error: StorageError) -> bool:
    """The same of a request with a condition, unless the store says that it is about a checksum."""
    return is_refusal(error) and "checksum" not in str(cause_of(error)).lower()


def is_batch_refusal(error: StorageError) -> bool:
    """The same of DeleteObjects: where there is no such request, the bucket is taken for an object."""
    return is_refusal(error) or (has_status(error, 404) and not has_code(error, "NoSuchBucket"))


def _of_answer(api: str, response: Mapping[str, Any]) -> Trouble:
    said = response.get("Error", {})
    about = response.get("ResponseMetadata", {})
    code, status = str(said.get("Code", "")), int(about.get("HTTPStatusCode", 0))
    meaning = CODES.get(code) or STATUSES.get(status) or (_BROKE if status >= 500 else _FAILED)
    headers = about.get("HTTPHeaders", {})
    return Trouble(
        api,
        meaning,
        code,
        status,
        message=str(said.get("Message", "")),
        date=headers.get("date", ""),
        server=headers.get("server", ""),
    )
