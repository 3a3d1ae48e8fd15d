"""Clients of a bucket, as botocore makes them: thousands of steps that are the same in every worker.

So one is made before workers are forked, and each of them takes its copy. Nothing in a client belongs to an
event loop before its first request.
"""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.compat import HAS_CRT

from s3sftp.backends.s3.bucket_names import is_directory_bucket, is_multi_region
from s3sftp.backends.s3.credentials.botocore_session import make_session
from s3sftp.backends.s3.credentials.endpoints import address_of, configured_endpoint
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed, source_failed
from s3sftp.backends.s3.credentials.renewal import RenewableCredentials
from s3sftp.backends.s3.http.aiohttp_session import BoundedAiohttpSession
from s3sftp.backends.s3.http.fast_client import FastClient
from s3sftp.backends.s3.options import S3Options, is_exposed
from s3sftp.backends.s3.retry_policy import RequestKind, time_limit
from s3sftp.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class BotocoreClient:
    """botocore's client, and what goes past it."""

    context: AbstractAsyncContextManager[Any]
    """Left when the client is not needed any more."""
    client: Any
    credentials: RenewableCredentials | None
    direct: FastClient | None


async def make_client(options: S3Options) -> BotocoreClient:
    """Make one. Sends nothing.

    Raises ConfigurationError for what may not or cannot be, and SourceFailed while the settings of the AWS
    environment cannot be used.
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
    client.meta.events.register("before-sign.s3", _drop_expect)
    client.meta.events.register("before-sign.s3.DeleteObjects", _prove_by_md5)
    direct = None
    # what asks for a session's key would be sent before the first request is
    if options.direct_requests and not is_directory_bucket(options.bucket):
        direct = FastClient(client, credentials or await session.get_credentials(), options, bundle)
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
    """What the profile says in its section `s3`."""
    return session.get_config_variable("s3") or {}


async def prepare_client(options: S3Options) -> None:
    """Make one for the processes that are forked from this one."""
    made = await make_client(options)
    if (
        made.direct is not None and made.credentials is None
    ):  # asking the chain for credentials may send something
        await made.direct.prepare()
    _waiting.append((options, made))


def prepared(options: S3Options) -> BotocoreClient | None:
    """The client that was prepared with these options, once; None if there is none."""
    for waiting in _waiting:
        if waiting[0] == options:
            _waiting.remove(waiting)
            return waiting[1]
    return None


_waiting: list[tuple[S3Options, BotocoreClient]] = []


def _config(options: S3Options, endpoint_url: str | None, settings: dict[str, Any]) -> AioConfig:
    s3: dict[str, Any] = {}
    if options.addressing != "auto":  # which a profile may know better
        s3["addressing_style"] = options.addressing
    if options.signed_payloads:
        s3["payload_signing_enabled"] = True
    elif (
        options.checksum in ("crc32", "sha256")
        and (endpoint_url is None or not is_exposed(endpoint_url))
        and "payload_signing_enabled" not in settings
    ):
        # the checksum and TLS protect the bytes; signing them would hash all of them once more
        s3["payload_signing_enabled"] = False
    longest = (
        max(time_limit(options, RequestKind.DATA, options.part_bytes), time_limit(options, RequestKind.JOIN))
        + 600
    )
    return AioConfig(
        s3=s3,
        connect_timeout=options.connect_timeout.total_seconds(),
        # ours are the limits: by kind of request for answers, stall_timeout for bodies
        read_timeout=longest,
        max_pool_connections=options.max_connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # each request names its checksum itself: one computation, and stores that refuse new ones get none
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=BoundedAiohttpSession,
    )


def _prove_by_md5(request: Any, **_: Any) -> None:
    """DeleteObjects has to prove its body. botocore does so by a CRC-32, of which many stores know nothing;
    all of them know this header, which was the only way for years."""
    for name in list(request.headers):
        if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-")):
            del request.headers[name]
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode("ascii")


def _drop_expect(request: Any, **_: Any) -> None:
    """Without `Expect: 100-continue`: it costs a round trip a part, and some stores never answer it."""
    if "Expect" in request.headers:
        del request.headers["Expect"]
