"""Reads bytes of one version of an object by GetObject, and continues after a broken connection.

GET 0-99 ──► 0…41 ✗ cut      GET 42-99, If-Match ──► 42…99      done
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import (
    CONNECTION_LOST,
    RequestError,
    classify,
    has_status,
    is_condition_refusal,
)
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.http.response_body import ResponseBody, response_body
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.equivalent_versions import EquivalentVersions, former_versions
from s3sftp.backends.s3.metadata.objects import Fields, condition_on, is_partial, is_version, version_of
from s3sftp.backends.s3.retry_policy import RequestKind, RetryPolicy
from s3sftp.errors import Changed, NotFound, StorageError, StorageFailure
from s3sftp.telemetry import get_logger

PROGRESS_BYTES = 256 << 10
"""Bytes after which a broken attempt no longer counts as a failure. An attempt that only trickles does."""

_log = get_logger("s3sftp.s3")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


async def read_range(
    client: S3Client, cache: MetadataCache, key: str, start: int, stop: int, version: str | None
) -> AsyncGenerator[Buffer]:
    """Yield the bytes `[start, stop)` as they arrive. Never ends early.

    A body that is cut or stalls is continued at the byte it has reached, with the same version.

    Raises NotFound: if the object does not exist. Raises Changed: if it is another version. Raises Busy: if
    too many downloads are open. Raises StorageError: if the store fails otherwise.
    """
    if start >= stop:
        return
    async with (
        client.downloads.slot(),
        aclosing(read_pieces(client, cache, key, start, stop, version)) as pieces,
    ):
        async for piece in pieces:
            yield piece


async def read_pieces(
    client: S3Client,
    cache: MetadataCache,
    key: str,
    start: int,
    stop: int,
    version: str | None,
    *,
    begun: ResponseBody | None = None,
) -> AsyncGenerator[Buffer]:
    """Like `read_range`, for a caller that holds a download slot; `begun` is a body already requested."""
    try:
        async with aclosing(_pieces(client, cache.rewritten, key, start, stop, version, begun)) as pieces:
            async for piece in pieces:
                yield piece
    except (Changed, NotFound):
        cache.forget(key)  # the cached metadata led here; the next attempt must look it up again
        raise


async def _pieces(
    client: S3Client,
    rewritten: EquivalentVersions,
    key: str,
    start: int,
    stop: int,
    version: str | None,
    body: ResponseBody | None,
) -> AsyncGenerator[Buffer]:
    retries = RetryPolicy(client.options.attempts)
    position, failures, gained = start, 0, 0
    stall_seconds = client.options.stall_timeout.total_seconds()
    try:
        while position < stop:
            if body is None:
                resumed = position > start
                body, version = await _open(client, rewritten, key, position, stop, version, resumed=resumed)
            piece = await _next_piece(body, stall_seconds)
            if isinstance(piece, RequestError):
                body.close()
                body = None
                failures, gained = failures + 1, 0
                await _wait(retries, failures, piece, key)
                continue
            piece = piece[: stop - position]
            position += len(piece)
            gained += len(piece)
            if gained >= PROGRESS_BYTES:
                failures = 0
            yield piece
    finally:
        if body is not None:
            body.close()


async def _open(
    client: S3Client,
    rewritten: EquivalentVersions,
    key: str,
    start: int,
    stop: int,
    version: str | None,
    *,
    resumed: bool,
) -> tuple[ResponseBody, str | None]:
    """Request `[start, stop)`; return the body and its version, which has the content of the requested
    one."""
    known = rewritten.latest(key, version)
    try:
        return await _open_version(client, key, start, stop, known, resumed=resumed)
    except Changed as error:
        if isinstance(error.__cause__, StorageError) and has_status(error.__cause__, 416):
            raise
        now = None if version is None else await _with_same_content(client, key, version)
        if now is None or now == known:
            raise
    rewritten.note(key, version, now)
    return await _open_version(client, key, start, stop, now, resumed=True)


async def _with_same_content(client: S3Client, key: str, version: str) -> str | None:
    """Return the present version if it differs from `version` only in metadata; None otherwise. An error here
    is not raised, because the earlier one is the one to report."""
    try:
        head = await client.call("HeadObject", Key=key)
    except StorageError:
        return None
    return version_of(head) if version in former_versions(head) else None


async def _open_version(
    client: S3Client, key: str, start: int, stop: int, version: str | None, *, resumed: bool
) -> tuple[ResponseBody, str | None]:
    condition = condition_on(version) if client.features.has(Feature.MATCHED_READS) else {}

    def get(wanted: Fields) -> Awaitable[Answer]:
        asked = f"bytes={start}-{stop - 1}"
        return client.call(
            "GetObject", kind=RequestKind.DATA, resumed=resumed, Key=key, Range=asked, **wanted
        )

    try:
        answer = await get(condition)
    except StorageError as error:
        if has_status(error, 412, 416):
            raise Changed(detail=error.detail) from error
        if not condition or not is_condition_refusal(error):
            raise
        answer = await client.features.do_without(Feature.MATCHED_READS, error, get({}))
    body = response_body(answer)
    try:
        _verify(answer, start, stop, version)
    except StorageError:
        body.close()
        raise
    return body, version or version_of(answer)


def _verify(answer: Answer, start: int, stop: int, version: str | None) -> None:
    """Check that the reply is what was requested, because some stores ignore conditions or ranges."""
    if version is not None and not is_version(answer, version):
        raise Changed(detail=f"the store sent {version_of(answer)} where {version} was asked for")
    found = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
    length: int | None = answer.get("ContentLength")
    if found is None:
        # The whole object will do if it begins at 0 and is long enough.
        whole = None if is_partial(answer) or start else length
        if whole is None or whole < stop or (whole > stop and version is None):
            raise StorageFailure(detail="the store ignored Range, or does not say what it sent")
        return
    if int(found[1]) != start:
        raise StorageFailure(detail=f"the store sent another range than bytes {start}-{stop - 1}")
    if int(found[2]) != stop - 1:
        raise Changed(detail=f"the object ends at {found[2]}, before {stop - 1}")
    if length not in (None, stop - start):
        raise StorageFailure(detail=f"the store sent {length} bytes as bytes {start}-{stop - 1}")


async def _next_piece(body: ResponseBody, stall_seconds: float) -> Buffer | RequestError:
    """Return the bytes that have arrived, without waiting; otherwise wait for the next ones."""
    try:
        while (piece := body.take()) is None:
            await body.wait(stall_seconds)
    except Exception as failure:
        request_error = classify("GetObject", failure)
        if request_error is None:
            raise
        return request_error
    return piece or RequestError("GetObject", CONNECTION_LOST, "BodyEndedEarly")


async def _wait(retries: RetryPolicy, failures: int, request_error: RequestError, key: str) -> None:
    """Wait before the rest is requested. Raises the error if too many attempts brought nothing."""
    # Not for security: the randomness only spreads load.
    delay = retries.delay(failures, random.random())  # noqa: S311
    if delay is None:
        raise request_error.error(key) from request_error
    _log.info("s3.read_resumed", code=request_error.code, failures=failures)
    await asyncio.sleep(delay if failures > 1 else 0)
