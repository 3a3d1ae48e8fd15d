"""Sends requests to another service of AWS by aiobotocore, with the bounds and credentials of the S3 client.

botocore's own retries are off: whoever asks knows what is worth another attempt.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aiobotocore.config import AioConfig
from botocore import exceptions as boto

from s3sftp.backends.s3.credentials.botocore_session import own_session
from s3sftp.backends.s3.credentials.endpoints import address_of, configured_endpoint
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed, source_failed
from s3sftp.backends.s3.http.aiohttp_session import BoundedAiohttpSession
from s3sftp.config.addresses import is_exposed
from s3sftp.config.aws_access import AwsAccessOptions
from s3sftp.errors import ConfigurationError

REQUEST_FAILURES: Final = (boto.ClientError, boto.BotoCoreError, CredentialSourceFailed, OSError)
"""What `AwsServiceClient.call` raises if the service refuses a request or gives no answer."""
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})
STALE_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""The service refuses the server's credentials, which others may replace."""
_CONNECT_SECONDS: Final = 5.0


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


class AwsServiceClient:
    """The connections to one service. Make it on the event loop that uses it."""

    def __init__(
        self,
        service: str,
        group: str,
        options: AwsAccessOptions,
        *,
        limit: timedelta,
        most_connections: int,
        section: str = "",
    ) -> None:
        """`service` is botocore's name, `group` that of the options, and `section` the service's name in
        profiles, if that is another. A request ends a second after `limit`: whoever asks ends it before."""
        self._service = service
        self._group = group
        self._section = section or group
        self._options = options
        self._limit = limit
        self._most_connections = most_connections
        self._open = AsyncExitStack()
        connect = timedelta(seconds=min(_CONNECT_SECONDS, limit.total_seconds()))
        self._access = _Access(options.profile, limit, connect)
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
            read_timeout=self._limit.total_seconds() + 1,
            max_pool_connections=self._most_connections,
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

    @property
    def generation(self) -> int:
        """That of the credentials: see `RenewableCredentials.generation`."""
        return int(self._credentials.generation)

    async def renew(self, seen: int) -> bool:
        """See `RenewableCredentials.renew`."""
        return bool(await self._credentials.renew(seen))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one request, by the name of its method in botocore.

        Raises one of REQUEST_FAILURES: if the service refuses it or gives no answer. Raises ValueError: if
        the answer is not what the service sends.
        """
        if self._client is None:
            raise RuntimeError("the service is asked before the start")
        answer: dict[str, Any] = await getattr(self._client, method)(**parameters)
        return answer


def code_of(failure: BaseException) -> str:
    """The code of an error that the service has answered; empty for any other."""
    return str(error_of(failure).get("Code", "")) if isinstance(failure, boto.ClientError) else ""


def error_of(failure: Any) -> dict[str, Any]:
    """The fields of an error that the service has answered."""
    found: dict[str, Any] = failure.response.get("Error", {})
    return found
