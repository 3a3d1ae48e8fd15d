"""Creates botocore's S3 client and the fast client, once before the workers are forked.

Creating a client takes thousands of steps that are the same in every worker, so the template creates one and
each worker inherits a copy. A client belongs to no event loop before its first request.
"""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.compat import HAS_CRT

from s3sftp.backends.s3.bucket_names import is_directory_bucket, is_multi_region
from s3sftp.backends.s3.credentials.assumed_role import RoleCredentials
from s3sftp.backends.s3.credentials.botocore_session import make_session
from s3sftp.backends.s3.credentials.endpoints import address_of, configured_endpoint
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed, source_failed
from s3sftp.backends.s3.credentials.renewal import RenewableCredentials
from s3sftp.backends.s3.http.aiohttp_session import BoundedAiohttpSession
from s3sftp.backends.s3.http.fast_client import FastClient
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.retry_policy import RequestKind, time_limit
from s3sftp.config.addresses import is_exposed
from s3sftp.errors import ConfigurationError

IDLE_SECONDS: Final = 12.0
"""Seconds after which an idle connection is closed: sooner than stores and load balancers do it."""


@dataclass(frozen=True, slots=True)
class BotocoreClient:
    """botocore's client, with the credentials and the fast client that belong to it."""

    context: AbstractAsyncContextManager[Any]
    """Exit it when the client is no longer needed."""
    client: Any
    credentials: RenewableCredentials | RoleCredentials | None
    direct: FastClient | None

    @property
    def http(self) -> BoundedAiohttpSession:
        """The session that sends all requests."""
        session: BoundedAiohttpSession = self.client._endpoint.http_session
        return session

    async def open(self) -> None:
        """Open the HTTP session before the first request. Sends nothing.

        Raises BotoCoreError or OSError: if the certificates or the proxy cannot be used.
        """
        await self.http.open(self.client.meta.endpoint_url)


async def make_client(options: S3Options) -> BotocoreClient:
    """Create a client. Sends nothing.

    Raises ConfigurationError: if an option is forbidden or impossible. Raises CredentialSourceFailed: while
    the settings of the AWS environment cannot be used.
    """
    _require_signer(options)
    try:
        return await _made(options)
    except (ConfigurationError, CredentialSourceFailed):
        raise
    except Exception as failure:  # botocore has many ways to refuse a profile, a file or a region
        raise source_failed("settings of AWS (environment, profile)", failure) from failure


async def _made(options: S3Options) -> BotocoreClient:
    session, credentials = make_session(options)
    region = options.region or session.get_config_variable("region") or "us-east-1"
    bundle = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    _require_bundle(bundle)
    url, source = options.endpoint_url, "s3.endpoint_url"
    if url is None and (configured := configured_endpoint(session, "s3")) is not None:
        url, source = configured
    _require_protected(url, source, options)
    context = session.create_client(
        "s3", region_name=region, endpoint_url=url, config=_config(options, url, _settings(session))
    )
    client = await context.__aenter__()
    client.meta.events.register("before-call.s3.HeadBucket", _follow_no_redirect)
    client.meta.events.register("before-sign.s3", _drop_expect)
    client.meta.events.register("before-sign.s3.DeleteObjects", _prove_by_md5)
    direct = None
    # Asking for a session's key would send a request before the first real one.
    if options.direct_requests and not is_directory_bucket(options.bucket):
        direct = FastClient(client, credentials or await session.get_credentials(), options)
    return BotocoreClient(context, client, credentials, direct)


def _require_signer(options: S3Options) -> None:
    if is_multi_region(options.bucket) and not HAS_CRT:
        raise ConfigurationError(
            [
                f"s3.bucket: {options.bucket} is an access point of several regions, whose requests are"
                " signed by SigV4A: install awscrt (pip install awscrt), or use one of one region"
            ]
        )


def _require_bundle(bundle: str | None) -> None:
    if bundle and not os.path.exists(bundle):
        raise CredentialSourceFailed(
            f"certificates (AWS_CA_BUNDLE, ca_bundle of the profile): there is no {bundle}"
        )


def _require_protected(url: str | None, source: str, options: S3Options) -> None:
    if url is not None and is_exposed(url) and not options.allow_plain_http:
        raise ConfigurationError(
            [
                f"{source} names {address_of(url)}, plain http to another machine: use https, or say"
                " s3.allow_plain_http = true"
            ]
        )


def _settings(session: AioSession) -> dict[str, Any]:
    """The profile's section `s3`."""
    return session.get_config_variable("s3") or {}


async def prepare_client(options: S3Options) -> None:
    """Create a client for the processes that will be forked from this one."""
    made = await make_client(options)
    made.http.prepare()
    if (
        made.direct is not None and made.credentials is None
    ):  # asking the chain for credentials may send something
        await made.direct.prepare()
    _waiting.append((options, made))


def prepared(options: S3Options) -> BotocoreClient | None:
    """Return the client that was prepared with these options, and remove it; None if there is none."""
    for waiting in _waiting:
        if waiting[0] == options:
            _waiting.remove(waiting)
            return waiting[1]
    return None


_waiting: list[tuple[S3Options, BotocoreClient]] = []


def _config(options: S3Options, endpoint_url: str | None, settings: dict[str, Any]) -> AioConfig:
    s3: dict[str, Any] = {}
    if options.addressing != "auto":  # a profile may set it
        s3["addressing_style"] = options.addressing
    if options.signed_payloads:
        s3["payload_signing_enabled"] = True
    elif (
        options.checksum in ("crc32", "sha256")
        and (endpoint_url is None or not is_exposed(endpoint_url))
        and "payload_signing_enabled" not in settings
    ):
        # the checksum and TLS protect the bytes; signing would hash all of them once more
        s3["payload_signing_enabled"] = False
    longest = (
        max(time_limit(options, RequestKind.DATA, options.part_bytes), time_limit(options, RequestKind.JOIN))
        + 600
    )
    return AioConfig(
        s3=s3,
        connect_timeout=options.connect_timeout.total_seconds(),
        # our own limits apply: for replies by kind of request, for bodies stall_timeout
        read_timeout=longest,
        max_pool_connections=options.max_connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # each request names its own checksum: one computation, and no new checksums for stores that refuse
        # them
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=BoundedAiohttpSession,
        connector_args={"keepalive_timeout": IDLE_SECONDS},
    )


def _follow_no_redirect(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from following a redirect of HeadBucket.

    botocore sends HeadBucket to find the region of a bucket whose redirect does not name it. If the reply is
    such a redirect too, it would send HeadBucket again, without end.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _prove_by_md5(request: Any, **_: Any) -> None:
    """Replace the checksum of DeleteObjects, which must prove its body, by Content-MD5.

    botocore sends a CRC-32, which many stores do not know. All of them know this header, which was the only
    way for years.
    """
    for name in list(request.headers):
        if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-")):
            del request.headers[name]
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode("ascii")


def _drop_expect(request: Any, **_: Any) -> None:
    """Remove `Expect: 100-continue`: it costs a round trip per part, and some stores never answer it."""
    if "Expect" in request.headers:
        del request.headers["Expect"]
