"""Sends requests to one service of AWS through aiobotocore, with the bounds and credentials of the S3 client.

botocore's own retries are off: `ask_repeatedly` repeats, so that each attempt is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiobotocore.config import AioConfig
from botocore import exceptions as boto

from s3sftp.auth.aws.failures import STALE_CREDENTIALS, code_of, failure_of
from s3sftp.auth.aws.options import MAX_CONNECTIONS, AwsServiceOptions
from s3sftp.auth.sources.asking import SourceFailed, ask_repeatedly
from s3sftp.backends.s3.credentials.botocore_session import own_session
from s3sftp.backends.s3.credentials.endpoints import address_of, configured_endpoint
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed, source_failed
from s3sftp.backends.s3.http.aiohttp_session import BoundedAiohttpSession
from s3sftp.config.addresses import is_exposed
from s3sftp.errors import ConfigurationError

_CONNECT_SECONDS = 5.0


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


@dataclass(frozen=True, slots=True)
class _Access:
    """What the session's credentials depend on, as `own_session` reads it."""

    profile: str | None
    metadata_timeout: timedelta
    connect_timeout: timedelta
    access_key_id: None = None
    secret_access_key: None = None
    session_token: None = None
    allow_plain_http: bool = False


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
        """`service` is botocore's name, `group` that of the options, and `section` the service's name in
        profiles, if that is another. `count` is called with the result of every request."""
        self._service = service
        self._group = group
        self._section = section or group
        self._options = options
        self._count = count
        self._limit = options.timeout
        self._open = AsyncExitStack()
        connect = timedelta(seconds=min(_CONNECT_SECONDS, self._limit.total_seconds()))
        self._access = _Access(options.profile, self._limit, connect)
        self._client: Any = None
        self._credentials: Any = None
        self.address = ""
        """The address of the service, once started: for logs."""

    async def start(self) -> None:
        """Make the client. Sends nothing.

        Raises ConfigurationError: if the region, the profile or the address cannot be used.
        """
        try:
            await self._start()
        except ConfigurationError:
            raise
        except Exception as failure:  # botocore has many ways to refuse a profile, a file or a region
            problem = source_failed("settings of AWS (environment, profile)", failure)
            raise ConfigurationError([f"{self._group}: {problem}"]) from failure

    async def _start(self) -> None:
        session, self._credentials = own_session(self._access)
        region = self._options.region or session.get_config_variable("region")
        if not region:
            raise ConfigurationError(
                [f"{self._group}.region is missing, and the AWS environment has none (AWS_REGION, profile)"]
            )
        url = self._options.endpoint_url
        if url is None and (found := configured_endpoint(session, self._section)) is not None:
            url, source = found
            if is_exposed(url):
                raise ConfigurationError(
                    [f"{source} names {address_of(url)}, plain http to another machine: use https"]
                )
        config = AioConfig(
            connect_timeout=self._access.connect_timeout.total_seconds(),
            read_timeout=self._limit.total_seconds() + 1,  # `ask_repeatedly` ends it before
            max_pool_connections=MAX_CONNECTIONS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            # would need to know the account before the first request
            account_id_endpoint_mode="disabled",
            http_session_cls=BoundedAiohttpSession,
        )
        self._open.push_async_callback(self._credentials.close)
        context = session.create_client(self._service, region_name=region, endpoint_url=url, config=config)
        self._client = await self._open.enter_async_context(context)
        self.address = address_of(self._client.meta.endpoint_url)

    async def close(self) -> None:
        """Close all connections."""
        await self._open.aclose()

    async def ask(self, request: AwsRequest, **parameters: Any) -> dict[str, Any] | None:
        """The service's answer; None: it says that what is asked for is not there.

        Raises SourceFailed: if there is no answer within the time limit.
        """
        if self._client is None:
            raise RuntimeError("the service is asked before the start")
        return await ask_repeatedly(
            lambda: self._attempt(request, parameters),
            limit=self._limit.total_seconds(),
            retries=self._options.retries,
            count=self._count,
        )

    async def _attempt(self, request: AwsRequest, parameters: dict[str, Any]) -> dict[str, Any] | None:
        generation = self._credentials.generation
        try:
            answer: dict[str, Any] = await getattr(self._client, request.method)(**parameters)
        except (boto.ClientError, boto.BotoCoreError, CredentialSourceFailed, OSError) as failure:
            if (code := code_of(failure)) in request.absent:
                return None
            failed = failure_of(failure, request.permission, request.for_everybody)
            failed.code = code
            if code in STALE_CREDENTIALS and await self._credentials.renew(generation):
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
