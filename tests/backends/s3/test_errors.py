"""Every failure of S3 and the network has a meaning, and none of them tells the client a secret."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from s3sftp import errors
from s3sftp.backends.s3.errors import (
    CODES,
    EXCEPTIONS,
    STATUSES,
    classify,
    outcome_is_unknown,
    request_error_behind,
)
from s3sftp.backends.s3.retry_policy import RetryAdvice, RetryPolicy


def subclasses(kind: type) -> Iterator[type]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def bare(kind: type[BaseException]) -> BaseException:
    """An instance, without the arguments that its constructor wants."""
    failure = kind.__new__(kind)
    failure.args = ("https://secret-bucket.example.com",)
    failure.__dict__.update(host="h", port=1, ssl=None, _conn_key=None, _os_error=OSError(1, "x"), status=500)
    return failure


FAMILIES = (
    boto.HTTPClientError,
    boto.BotoCoreError,
    aiohttp.ClientError,
    ResponseParserError,
    OSError,
    TimeoutError,
)


def answer(code: str, status: int) -> boto.ClientError:
    response = {
        "Error": {"Code": code, "Message": "denied for AKIASECRET at secret-bucket"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "REQ", "HTTPHeaders": {"date": "now"}},
    }
    return boto.ClientError(response, "GetObject")


def test_every_exception_of_the_libraries_has_a_meaning() -> None:
    for kind in {kind for family in FAMILIES for kind in subclasses(family)}:
        if kind is not boto.ClientError:
            assert any(issubclass(kind, known) for known, _ in EXCEPTIONS), kind


def test_whatever_the_network_does_is_tried_again() -> None:
    kinds = list(subclasses(boto.HTTPClientError))
    assert len(kinds) >= 5
    for kind in kinds:
        trouble = classify("GetObject", bare_with_text(kind))
        assert trouble is not None
        assert trouble.meaning.again is RetryAdvice.LATER, kind


def bare_with_text(kind: type[BaseException]) -> BaseException:
    failure = bare(kind)
    failure.__class__ = type(kind.__name__, (kind,), {"__str__": lambda self: "text"})
    return failure


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_the_client_reads_has_nothing_of_the_store_in_it(code: str) -> None:
    trouble = classify("GetObject", answer(code, 400))
    assert trouble is not None
    error = trouble.error("tenant/key")
    assert isinstance(error, errors.StorageError)
    assert not any(secret in str(error) for secret in ("secret", "AKIA", "tenant", "REQ"))
    assert error.detail is not None
    assert "tenant/key" in error.detail


@pytest.mark.parametrize(
    ("code", "status", "expected", "again"),
    [
        ("SlowDown", 503, errors.Busy, RetryAdvice.LATER),
        ("TooManyRequests", 429, errors.Busy, RetryAdvice.LATER),
        ("429", 429, errors.Busy, RetryAdvice.LATER),
        ("InternalError", 500, errors.StorageFailure, RetryAdvice.LATER),
        ("InternalError", 200, errors.StorageFailure, RetryAdvice.LATER),
        ("504", 504, errors.StorageFailure, RetryAdvice.LATER),
        ("ExpiredToken", 400, errors.StorageFailure, RetryAdvice.RENEWED),
        ("AccessDenied", 403, errors.PermissionDenied, RetryAdvice.NEVER),
        ("403", 403, errors.PermissionDenied, RetryAdvice.NEVER),
        ("404", 404, errors.NotFound, RetryAdvice.NEVER),
        ("NoSuchKey", 404, errors.NotFound, RetryAdvice.NEVER),
        ("NoSuchBucket", 404, errors.StorageFailure, RetryAdvice.NEVER),
        ("PreconditionFailed", 412, errors.Changed, RetryAdvice.NEVER),
        ("SomethingNew", 400, errors.StorageFailure, RetryAdvice.NEVER),
        ("SomethingNew", 599, errors.StorageFailure, RetryAdvice.LATER),
        ("RequestTimeTooSkewed", 403, errors.StorageFailure, RetryAdvice.NEVER),
    ],
)
def test_codes_and_statuses_mean_what_they_should(
    code: str, status: int, expected: type[errors.StorageError], again: RetryAdvice
) -> None:
    trouble = classify("PutObject", answer(code, status))
    assert trouble is not None
    assert type(trouble.error("k")) is expected
    assert trouble.meaning.again is again


def test_a_lost_reply_leaves_the_outcome_unknown_and_a_refusal_does_not() -> None:
    for failure, unknown in (
        (TimeoutError(), True),
        (boto.ReadTimeoutError(endpoint_url="u"), True),
        (boto.ConnectionClosedError(endpoint_url="u"), True),
        (answer("InternalError", 500), True),
        (boto.ConnectTimeoutError(endpoint_url="u"), False),
        (answer("SlowDown", 503), False),
        (answer("PreconditionFailed", 412), False),
    ):
        trouble = classify("PutObject", failure)
        assert trouble is not None
        assert trouble.unknown is unknown
        error = trouble.error("k")
        error.__cause__ = trouble
        assert (request_error_behind(error), outcome_is_unknown(error)) == (trouble, unknown)


def test_a_mistake_of_our_own_is_not_taken_for_the_stores() -> None:
    assert classify("PutObject", KeyError("x")) is None
    assert not issubclass(asyncio.CancelledError, Exception)


def test_every_meaning_is_an_error_that_has_a_place_in_the_tree() -> None:
    meanings = [*CODES.values(), *STATUSES.values(), *(meaning for _, meaning in EXCEPTIONS)]
    assert all(issubclass(meaning.error, errors.StorageError) for meaning in meanings)


def test_delays_grow_have_jitter_and_end() -> None:
    retries = RetryPolicy(attempts=8)
    longest = [retries.delay(failures, 1.0) for failures in range(1, 9)]
    assert longest == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, None]
    assert retries.delay(3, 0.0) == 0
    assert retries.delay(3, 0.5) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("KeyTooLongError", errors.InvalidRequest, "path too long"),
        ("XMinioInvalidObjectName", errors.InvalidRequest, "storage takes no such name"),
        ("ObjectParentIsFile", errors.NotADirectory, "not a directory"),
        ("ExistingObjectIsDirectory", errors.IsADirectory, "is a directory"),
    ],
)
def test_what_a_store_of_files_refuses_is_told_as_a_file_system_does(
    code: str, error: type[errors.StorageError], text: str
) -> None:
    trouble = classify("PutObject", answer(code, 400))
    assert trouble is not None
    told = trouble.error("some/key")
    assert (type(told), str(told)) == (error, text)
