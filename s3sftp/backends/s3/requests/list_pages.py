"""Reads listings page by page, and finds out whether a listing contains a name.

    pages       LIST ─► page ─► LIST from its token ─► page ─► …     complete, or an error
    is_listed   LIST of the name itself ─┬─► there, or not
                                         └─► refused: the listing of its directory, to the end

It depends on as little of the client as it can. A store that repeats its pages would be asked for ever, so
that is an error. If entries lack a size, a HEAD gets it, because an unknown size must not become 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Protocol

from s3sftp.backends.s3.errors import has_status
from s3sftp.backends.s3.features import Feature, Features
from s3sftp.backends.s3.requests.list_objects_v1 import last_name
from s3sftp.errors import NotFound, StorageError, StorageFailure
from s3sftp.runtime.concurrency import for_each

PAGE_KEYS = 1000
"""Maximum keys of a page, as S3 returns them."""
_HEADS = 8
"""Maximum HEADs at once for what a page lacks."""
_SIZE = ("Size",)

Answer = dict[str, Any]


class ListLimiter(Protocol):
    """Limits how many pages are requested at once."""

    def slot(self) -> AbstractAsyncContextManager[None]: ...


class ListClient(Protocol):
    """The part of the client that listings need."""

    @property
    def features(self) -> Features: ...
    @property
    def listings(self) -> ListLimiter: ...
    async def call(self, api: str, **parameters: Any) -> Answer: ...


async def pages(
    client: ListClient, prefix: str, *, delimiter: str = "", needed: Collection[str] = _SIZE
) -> AsyncGenerator[Answer]:
    """Yield the replies of one listing, each entry completed with the fields `needed` as far as a HEAD
    reports them. The next page is requested while one is read; closing the generator cancels that.

    Raises StorageFailure: if the store repeats its pages, or does not report a size that is needed.
    """
    fixed: Answer = {"Prefix": prefix, "MaxKeys": PAGE_KEYS} | ({"Delimiter": delimiter} if delimiter else {})
    progress = ListProgress()

    async def page(after: Answer) -> Answer:
        async with client.listings.slot():
            answer = await client.call("ListObjectsV2", **fixed, **after)
        if "IsTruncated" not in answer and not answer.get("NextContinuationToken"):
            raise StorageFailure("storage does not tell whether its listing is whole")
        await _complete(client, answer, needed)
        return answer

    answer = await page({})
    while token := answer.get("NextContinuationToken"):
        progress.require(token, answer)
        ahead = asyncio.create_task(page({"ContinuationToken": token}))
        try:
            yield answer
            answer = await ahead
            await asyncio.sleep(0)  # let other tasks run: both pages may have been available at once
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
    yield answer


class ListProgress:
    """Detects a listing with a cycle of any length, remembering a single page (Brent's algorithm)."""

    def __init__(self) -> None:
        self._token = ""
        self._span: tuple[str, str] | None = None
        self._pages = 0
        self._until = 1

    def require(self, token: str, answer: Answer) -> None:
        """Record a page.

        Raises StorageFailure: if the page, or the token of the next one, has occurred before.
        """
        span = _span(answer)
        if token == self._token or (span is not None and span == self._span):
            raise StorageFailure("storage repeats its listing", detail=f"token {token!r}, names {span}")
        self._pages += 1
        if self._pages == self._until:
            self._token, self._span, self._until = token, span, 2 * self._until


def _span(answer: Answer) -> tuple[str, str] | None:
    """Return the first and last name of a page. None for an empty page, or one with only a directory: a store
    may repeat that as long as the directory's keys fill pages."""
    names = [line["Key"] for line in (*answer.get("Contents", ())[:1], *answer.get("Contents", ())[-1:])]
    prefixes = answer.get("CommonPrefixes", ())
    names += [line["Prefix"] for line in (*prefixes[:1], *prefixes[-1:])]
    is_of_one = not answer.get("Contents") and len(prefixes) < 2
    return None if is_of_one else (min(names), max(names))


async def first_lines(
    client: ListClient, prefix: str, most: int, *, page: int | None = None, needed: Collection[str] = _SIZE
) -> list[Answer]:
    """Return the first `most` entries below a prefix, or all if there are fewer, since a page may be short or
    empty without being the last. `page` is the number to request at once.

    Raises StorageError: if the store fails.
    """
    after: Answer = {}
    progress, lines = ListProgress(), list[Answer]()
    while True:
        answer = await client.call("ListObjectsV2", Prefix=prefix, MaxKeys=page or most, **after)
        lines += answer.get("Contents", ())
        token = answer.get("NextContinuationToken")
        if len(lines) >= most or not token:
            answer["Contents"] = lines[:most]
            await _complete(client, answer, needed)
            return list(answer["Contents"])
        progress.require(token, answer)
        after = {"ContinuationToken": token}


async def _complete(client: ListClient, answer: Answer, needed: Collection[str]) -> None:
    """Complete the entries of a page by HEAD.

    Entries whose object has been removed meanwhile are left out.
    """
    lines = answer.get("Contents", ())
    lacking = {id(line): line for name in needed for line in lines if line.get(name) is None}
    if not lacking:
        return
    gone: set[int] = set()

    async def ask(line: Answer) -> None:
        try:
            head = await client.call("HeadObject", Key=line["Key"])
        except NotFound:
            gone.add(id(line))
            return
        reported = {"Size": head.get("ContentLength"), "ETag": head.get("ETag")}
        reported["LastModified"] = head.get("LastModified")
        line |= {
            name: value for name, value in reported.items() if line.get(name) is None and value is not None
        }
        if "Size" in needed and line.get("Size") is None:
            raise StorageFailure("storage does not tell the file's size", detail=f"key {line['Key']!r}")

    await for_each(lacking.values(), ask, _HEADS)
    answer["Contents"] = [line for line in lines if id(line) not in gone]


async def is_listed(client: ListClient, name: str) -> bool:
    """Whether exactly this name is listed: an object or, with a slash at its end, a directory.

    Lists the name itself. If the store or the policy allows only listings of directories, searches the
    listing of the name's directory.

    Raises StorageError: if the store fails.
    """
    parent = name.removesuffix("/").rpartition("/")
    above = parent[0] + parent[1]
    if not client.features.has(Feature.ANY_PREFIX):
        return await _is_among(client, name, above)
    try:
        return await _begins(client, name)
    except StorageError as error:
        if not has_status(error, 400, 403, 501):
            raise
        try:
            found = await _is_among(client, name, above)
        except StorageError:
            raise error from error.__cause__
        if not has_status(error, 403):
            client.features.lacks(Feature.ANY_PREFIX, error.detail)
        return found


async def _begins(client: ListClient, name: str) -> bool:
    if name.endswith("/"):  # after names such as `name-1`, as `-` sorts before `/`
        return await _is_among(client, name, name.removesuffix("/"))
    # of all keys that begin with the name it is the first
    return any(line["Key"] == name for line in await first_lines(client, name, 1, needed=()))


async def _is_among(client: ListClient, name: str, prefix: str) -> bool:
    async with aclosing(pages(client, prefix, delimiter="/", needed=())) as answers:
        async for answer in answers:
            if _shows(answer, name):
                return True
            if client.features.has(Feature.ANY_PREFIX) and _is_past(answer, name):
                break
    return False


def _is_past(answer: Answer, name: str) -> bool:
    """Whether a listing in S3's order has passed the name.

    Not all stores that list only directories keep that order.
    """
    last = last_name(answer)
    return last is not None and last.encode("utf-8") > name.encode("utf-8")


def _shows(answer: Answer, name: str) -> bool:
    return any(line["Key"] == name for line in answer.get("Contents", ())) or any(
        line["Prefix"] == name for line in answer.get("CommonPrefixes", ())
    )
