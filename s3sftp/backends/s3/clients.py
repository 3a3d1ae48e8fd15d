"""Clients of a bucket, as botocore makes them: thousands of steps that are the same in every worker.

So one is made before workers are forked, and each of them takes its copy. Nothing in a client belongs to an
event loop before its first request.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig

from s3sftp.backends.s3.credentials import RenewableCredentials, session_with
from s3sftp.backends.s3.direct import Direct
from s3sftp.backends.s3.options import S3Options, is_loopback
from s3sftp.backends.s3.retries import Effort, time_limit


@dataclass(frozen=True, slots=True)
class Client:
    """botocore's client, and what goes past it."""

    context: AbstractAsyncContextManager[Any]
    """Left when the client is not needed any more."""
    client: Any
    credentials: RenewableCredentials | None
    direct: Direct | None


async def make_client(options: S3Options) -> Client:
    """Make one. Sends nothing."""
    session, credentials = session_with(options)
    region = options.region or session.get_config_variable("region") or "us-east-1"
    context = session.create_client(
        "s3", region_name=region, endpoint_url=options.endpoint_url, config=_config(options)
    )
    client = await context.__aenter__()
    client.meta.events.register("before-sign.s3", _drop_expect)
    client.meta.events.register("before-sign.s3.DeleteObjects", _prove_by_md5)
    direct = None
    if options.direct_requests:
        bundle = session.get_config_variable("ca_bundle")
        direct = Direct(client, credentials or await session.get_credentials(), options, bundle)
    return Client(context, client, credentials, direct)


async def prepare_client(options: S3Options) -> None:
    """Make one for the processes that are forked from this one."""
    made = await make_client(options)
    if (
        made.direct is not None and made.credentials is None
    ):  # asking the chain for credentials may send something
        await made.direct.prepare()
    _waiting.append((options, made))


def prepared(options: S3Options) -> Client | None:
    """The client that was prepared with these options, once; None if there is none."""
    for waiting in _waiting:
        if waiting[0] == options:
            _waiting.remove(waiting)
            return waiting[1]
    return None


_waiting: list[tuple[S3Options, Client]] = []


def _config(options: S3Options) -> AioConfig:
    s3: dict[str, Any] = {"addressing_style": options.addressing}
    if options.checksum in ("crc32", "sha256") and _is_protected(options.endpoint_url):
        # the checksum and TLS protect the bytes; signing them would hash all of them once more
        s3["payload_signing_enabled"] = False
    longest = (
        max(time_limit(options, Effort.DATA, options.part_bytes), time_limit(options, Effort.JOIN)) + 600
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
    )


def _is_protected(endpoint_url: str | None) -> bool:
    return endpoint_url is None or endpoint_url.startswith("https:") or is_loopback(endpoint_url)


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
