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
    CONNECTION_LOST,
    EXCEPTIONS,
    STATUSES,
    RequestError,
    classify,
    has_code,
    has_status,
    is_batch_refusal,
    is_condition_refusal,
    is_denied,
    is_outcome,
    is_refusal,
    is_unproven,
    may_lack_feature,
    outcome_is_unknown,
    request_error_behind,
)
from s3sftp.backends.s3.features import Feature, Features
from s3sftp.backends.s3.http.reply_evidence import UnprovenChange, UnprovenReply
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
        assert trouble.meaning.retry is RetryAdvice.LATER, kind


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
        ("SomethingNew", 499, errors.StorageFailure, RetryAdvice.NEVER),
        ("SomethingNew", 500, errors.StorageFailure, RetryAdvice.LATER),
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
    assert trouble.meaning.retry is again


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


# ── what a refusal says of the store ────────────────────────────────────────────────────────────────


def refusal(code: str, status: int, message: str = "") -> errors.StorageError:
    """The error that a request ends with when it is answered like this."""
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"date": "now", "server": "us"}},
    }
    trouble = classify("PutObject", boto.ClientError(response, "PutObject"))
    assert trouble is not None
    error = trouble.error("k")
    error.__cause__ = trouble
    return error


BARE = errors.StorageFailure()
"""What no request caused."""
REFUSALS = [
    ("NotImplemented", 501, "", True),
    ("NotImplemented", 403, "", True),
    ("MethodNotAllowed", 405, "", True),
    ("MethodNotAllowed", 400, "", True),
    ("MethodNotAllowed", 501, "", True),
    ("MethodNotAllowed", 403, "", False),
    ("SomethingNew", 400, "", True),
    ("SomethingNew", 405, "", True),
    ("SomethingNew", 501, "", True),
    ("SomethingNew", 403, "", False),
    ("SomethingNew", 500, "", False),
    ("AccessDenied", 400, "", False),
    ("KMS.DisabledException", 400, "", False),
    ("ServerSideEncryptionConfigurationNotFoundError", 400, "", False),
    ("", 501, "", True),
    *((code, 400, "the header X-AMZ-Tagging is not supported", True) for code in ("", "400", "BadRequest")),
    *((code, 400, "go away", False) for code in ("", "400", "BadRequest")),
]


@pytest.mark.parametrize(("code", "status", "message", "expected"), REFUSALS)
def test_what_may_mean_that_the_store_lacks_what_was_asked_for(
    code: str, status: int, message: str, expected: bool
) -> None:
    assert is_refusal(refusal(code, status, message)) is expected


def test_a_404_refuses_a_batch_unless_it_is_the_bucket_that_is_missing() -> None:
    assert [is_batch_refusal(refusal(*answer)) for answer in (("NoSuchKey", 404), ("", 404), ("", 501))] == (
        [True] * 3
    )
    others = (("NoSuchBucket", 404), ("AccessDenied", 403))
    assert not any(is_batch_refusal(refusal(*answer)) for answer in others)


def test_a_refusal_that_is_about_a_checksum_is_not_about_the_condition() -> None:
    assert is_condition_refusal(refusal("SomethingNew", 400, "no such thing"))
    assert not is_condition_refusal(refusal("SomethingNew", 400, "no such Checksum"))
    assert not is_condition_refusal(refusal("AccessDenied", 403))


def test_what_a_store_surely_has_is_doubted_only_where_it_says_that_it_has_it_not() -> None:
    condition, other = Feature.CONDITIONAL_WRITES, Feature.TAGS
    unknown, sure = Features(), Features()
    for feature in (condition, other):
        sure.seen(feature)
    for feature in (condition, other):
        assert may_lack_feature(unknown, feature, refusal("SomethingNew", 400))
        assert not may_lack_feature(sure, feature, refusal("SomethingNew", 400))
        assert may_lack_feature(sure, feature, refusal("NotImplemented", 400))
        assert may_lack_feature(sure, feature, refusal("SomethingNew", 501))
        assert not may_lack_feature(unknown, feature, refusal("AccessDenied", 403))
    about_a_checksum = refusal("SomethingNew", 400, "bad checksum")
    assert [may_lack_feature(unknown, feature, about_a_checksum) for feature in (condition, other)] == [
        False,
        True,
    ]


def test_a_code_and_a_status_are_those_of_the_answer_behind_the_error() -> None:
    error = refusal("NoSuchKey", 404)
    assert has_code(error, "NoSuchBucket", "NoSuchKey")
    assert has_status(error, 403, 404)
    assert not has_code(error, "NoSuchBucket")
    assert not has_status(error, 403)


def test_of_what_no_request_caused_nothing_is_known() -> None:
    assert request_error_behind(BARE) is None
    known = (outcome_is_unknown, is_outcome, is_unproven, is_refusal, is_condition_refusal, is_batch_refusal)
    assert not any(each(BARE) for each in known)
    caused_by_another = errors.StorageFailure()
    caused_by_another.__cause__ = TimeoutError()
    assert request_error_behind(caused_by_another) is None
    assert not has_code(BARE, "")
    assert not has_status(BARE, 0)


@pytest.mark.parametrize(
    ("code", "status", "counts"),
    [
        ("PreconditionFailed", 412, True),
        ("ConditionalRequestConflict", 409, True),
        ("InternalError", 500, True),
        ("AccessDenied", 403, False),
        ("SlowDown", 503, False),
    ],
)
def test_what_may_be_stored_or_got_as_far_as_its_condition_counts_more_than_a_refusal(
    code: str, status: int, counts: bool
) -> None:
    assert is_outcome(refusal(code, status)) is counts


def test_a_success_without_its_proof_is_told_from_a_failure() -> None:
    for failure, expected in (
        (UnprovenReply("x"), True),
        (UnprovenChange("x"), True),
        (TimeoutError(), False),
    ):
        trouble = classify("PutObject", failure)
        assert trouble is not None
        error = trouble.error("k")
        error.__cause__ = trouble
        assert is_unproven(error) is expected


def test_a_denied_request_and_one_that_came_too_fast_are_told_from_others() -> None:
    for code, status, denied, throttled in (
        ("AccessDenied", 403, True, False),
        ("", 403, True, False),
        ("SlowDown", 503, False, True),
        ("", 307, False, False),
        ("InternalError", 500, False, False),
    ):
        trouble = request_error_behind(refusal(code, status))
        assert trouble is not None
        assert (is_denied(trouble), trouble.is_throttle) == (denied, throttled)


@pytest.mark.parametrize(
    ("status", "lasting"),
    [(299, False), (300, True), (404, True), (408, False), (429, False), (499, True), (500, False)],
)
def test_a_refusal_lasts_unless_it_is_about_the_moment(status: int, lasting: bool) -> None:
    assert refusal("SomethingNew", status).lasting is lasting


def test_the_log_is_told_the_request_the_answer_and_the_key() -> None:
    told = refusal("SomethingNew", 400, "why not")
    assert told.detail == "PutObject: SomethingNew why not (HTTP 400, key 'k')"
    assert refusal("SomethingNew", 400).detail == "PutObject: SomethingNew (HTTP 400, key 'k')"
    trouble = request_error_behind(told)
    assert trouble is not None
    assert (trouble.api, trouble.code, trouble.status, trouble.date, trouble.server) == (
        "PutObject",
        "SomethingNew",
        400,
        "now",
        "us",
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-amz-request-id": "REQ", "x-amz-id-2": "HOST", "x-other": "no"}, ("REQ", "HOST")),
        ({"x-amz-request-id": "REQ"}, ("REQ", "")),
        ({"x-amz-id-2": "HOST"}, ("", "HOST")),
        ({}, ("", "")),
    ],
)
def test_the_ids_that_a_store_s_support_asks_for_are_those_of_its_reply(
    headers: dict[str, str], expected: tuple[str, str]
) -> None:
    response = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPHeaders": headers}}
    trouble = classify("PutObject", boto.ClientError(response, "PutObject"))
    assert trouble is not None
    assert trouble.request_ids == expected


def test_an_answer_that_says_nothing_is_a_failure_that_nothing_helps_against() -> None:
    trouble = classify("PutObject", boto.ClientError({}, "PutObject"))
    assert trouble is not None
    assert (trouble.code, trouble.status, trouble.date, trouble.server) == ("", 0, "", "")
    assert (trouble.meaning.error, trouble.meaning.retry, trouble.unknown) == (
        errors.StorageFailure,
        RetryAdvice.NEVER,
        False,
    )
    assert str(trouble) == "PutObject:"


def test_an_exception_is_told_by_its_name_and_kept_as_the_cause() -> None:
    failure = TimeoutError("too late")
    trouble = classify("PutObject", failure)
    assert trouble is not None
    assert (trouble.code, str(trouble)) == ("TimeoutError", "PutObject: TimeoutError too late")
    assert trouble.__cause__ is failure


def test_a_request_that_was_not_answered_has_no_status_and_says_nothing_of_the_store() -> None:
    trouble = RequestError("GetObject", CONNECTION_LOST, "BodyEndedEarly")
    assert str(trouble) == "GetObject: BodyEndedEarly"
    assert (trouble.status, trouble.date, trouble.server, trouble.unknown) == (0, "", "", True)
    assert trouble.request_ids == ("", "")
