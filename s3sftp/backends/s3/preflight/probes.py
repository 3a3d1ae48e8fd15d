"""Provides what the probes of `s3sftp check` share: small objects to write, and findings for refusals."""

from __future__ import annotations

import uuid
from typing import Any, Final

from s3sftp.backends.findings import Finding, State
from s3sftp.backends.s3.checksums.fallback import send_with_checksum
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.errors import RequestError, request_error_behind
from s3sftp.backends.s3.features import CONSEQUENCES, Feature
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.response_body import read_all, response_body
from s3sftp.backends.s3.metadata.objects import new_object
from s3sftp.backends.s3.options import MIB
from s3sftp.errors import NotFound, StorageError

CONTENT: Final = b"written by s3sftp check; safe to delete\n"


async def put_probe(client: S3Client, key: str, data: bytes = CONTENT, **conditions: Any) -> Answer:
    """Write an object as the server does. Raises StorageError: if that fails."""
    fields = new_object(client.options, str(uuid.uuid4()), None) | conditions
    answer, _ = await send_with_checksum(
        client,
        data,
        lambda proof: client.call("PutObject", Key=key, Body=RequestBody(data), **fields, **proof),
    )
    return answer


async def read_probe(client: S3Client, answer: Answer) -> bytes:
    """Read the body of a reply to GET. Raises StorageError: if that fails."""
    return await read_all(response_body(answer), MIB, client.options.stall_timeout.total_seconds())


async def probe_exists(client: S3Client, key: str) -> bool:
    """Whether the store reports that the object exists. Raises StorageError: if that is unknown."""
    try:
        await client.call("HeadObject", Key=key)
    except NotFound:
        return False
    return True


def refusal_finding(what: str, error: StorageError, advice: str = "", *, state: State = "failed") -> Finding:
    """Describe a refusal as a finding; `advice` is used if the error does not suggest its own."""
    request_error = request_error_behind(error)
    text = f"{error} ({short_reason(request_error)})" if request_error is not None else str(error)
    return Finding(what, state, text, advice_for(error) or advice)


def short_reason(request_error: RequestError) -> str:
    """Describe a reply in a word or two."""
    status = (
        f", HTTP {request_error.status}"
        if request_error.status and str(request_error.status) != request_error.code
        else ""
    )
    return f"{request_error.api}: {request_error.code}{status}"


def missing_finding(client: S3Client, what: str, feature: Feature, text: str) -> Finding:
    """Describe a missing feature as a finding: the server works without it, with a consequence."""
    client.features.lacks(feature, text)
    return Finding(what, "warning", text, f's3.lacks = ["{feature}"]: {CONSEQUENCES[feature]}')


def known_missing(client: S3Client, what: str, feature: Feature) -> Finding | None:
    """Return a finding, and skip the probe, if options, name or an earlier reply show that it is missing."""
    if client.features.has(feature):
        return None
    if feature in client.options.lacks:
        return Finding(what, "ok", f"not tried: s3.lacks names {feature}")
    return Finding(
        what, "warning", f"the store lacks {feature}", f's3.lacks = ["{feature}"]: {CONSEQUENCES[feature]}'
    )
