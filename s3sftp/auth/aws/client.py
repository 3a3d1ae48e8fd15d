"""Asks one service of AWS about users, and repeats what may succeed: `ask_repeatedly` counts each attempt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from s3sftp.auth.aws.failures import failure_of
from s3sftp.auth.aws.options import MAX_CONNECTIONS, AwsServiceOptions
from s3sftp.auth.sources.asking import SourceFailed, ask_repeatedly
from s3sftp.backends.s3.credentials.service_client import (
    REQUEST_FAILURES,
    STALE_CREDENTIALS,
    AwsServiceClient,
    code_of,
)


@dataclass(frozen=True, slots=True)
class AwsRequest:
    """One kind of request."""

    method: str
    """The method of botocore's client."""
    permission: str
    is_answer: Callable[[Mapping[str, Any]], bool]
    """Whether what came with status 200 is an answer of the service."""
    absent: Collection[str] = ()
    """Codes of errors which say that what is asked for is not there."""
    for_everybody: Collection[str] = ()
    """Codes of errors that every user would cause."""


class AwsClient:
    """The connections to one service. Make it on the event loop that uses it."""

    def __init__(
        self,
        service: str,
        group: str,
        options: AwsServiceOptions,
        count: Callable[[str], None],
        section: str = "",
    ) -> None:
        """`service`, `group` and `section` are those of `AwsServiceClient`. `count` is called with the
        result of every request."""
        self._options = options
        self._count = count
        self._limit = options.timeout
        self._client = AwsServiceClient(
            service, group, options, limit=self._limit, most_connections=MAX_CONNECTIONS, section=section
        )

    @property
    def address(self) -> str:
        """The address of the service, once started: for logs."""
        return self._client.address

    async def start(self) -> None:
        """As `AwsServiceClient.start`."""
        await self._client.start()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def ask(self, request: AwsRequest, **parameters: Any) -> dict[str, Any] | None:
        """The service's answer; None: it says that what is asked for is not there.

        Raises SourceFailed: if there is no answer within the time limit.
        """
        return await ask_repeatedly(
            lambda: self._attempt(request, parameters),
            limit=self._limit.total_seconds(),
            retries=self._options.retries,
            count=self._count,
        )

    async def _attempt(self, request: AwsRequest, parameters: dict[str, Any]) -> dict[str, Any] | None:
        generation = self._client.generation
        try:
            answer = await self._client.call(request.method, **parameters)
        except REQUEST_FAILURES as failure:
            if (code := code_of(failure)) in request.absent:
                return None
            failed = failure_of(failure, request.permission, request.for_everybody)
            failed.code = code
            if code in STALE_CREDENTIALS and await self._client.renew(generation):
                failed.may_repeat = True
            raise failed from None
        except ValueError as error:  # an answer that is not what the service sends
            raise _not_the_service(type(error).__name__) from None
        if not request.is_answer(answer):  # botocore takes a page of a proxy for an empty answer
            raise _not_the_service(f"Content-Type {content_type_of(answer)[:100]!r}")
        return answer


def content_type_of(answer: Mapping[str, Any]) -> str:
    """The Content-Type of an answer, in lower case; empty if it has none."""
    return str(answer["ResponseMetadata"].get("HTTPHeaders", {}).get("content-type", "")).lower()


def _not_the_service(sign: str) -> SourceFailed:
    problem = f"what answers is not the service ({sign}): a proxy, or a wrong address"
    return SourceFailed(problem, "error", is_down=True)
