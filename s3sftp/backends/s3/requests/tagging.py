"""Sends tags of objects, and stores objects without them where the store has no tags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlencode

from s3sftp.backends.s3.errors import has_code, has_status, is_outcome, may_lack_feature, outcome_is_unknown
from s3sftp.backends.s3.features import Feature, Features
from s3sftp.errors import StorageError

Answer = dict[str, Any]
Ask = Callable[..., Awaitable[Answer]]


class _Client(Protocol):
    @property
    def features(self) -> Features: ...
    async def call(self, api: str, **parameters: Any) -> Answer: ...


async def send_tagged(ask: Ask, features: Features, api: str, **parameters: Any) -> Answer:
    """Send a request that tags the object it creates, without the tags if the store has none.

    A success without the tags shows that they were the reason for a refusal.

    Raises StorageError: if the request fails; that of the first request if both fail, unless the store may
    have executed the second.
    """
    bare = {name: value for name, value in parameters.items() if name != "Tagging"}
    if not features.has(Feature.TAGS):
        return await ask(api, **bare)
    try:
        return await ask(api, **parameters)
    except StorageError as error:
        if not _may_be_the_tags(features, error):
            raise
        try:
            answer = await ask(api, **bare)
        except StorageError as second:
            if is_outcome(second):
                raise
            raise error from error.__cause__
        features.lacks(Feature.TAGS, error.detail)
        return answer


async def tags_of(client: _Client, key: str) -> Answer:
    """Return the field that gives a new object the tags of another; empty if the store has no tags."""
    if not client.features.has(Feature.TAGS):
        return {}
    try:
        answer = await client.call("GetObjectTagging", Key=key)
    except StorageError as error:
        if not has_status(error, 405, 501):
            raise
        client.features.lacks(Feature.TAGS, error.detail)
        return {}
    return {"Tagging": urlencode({tag["Key"]: tag["Value"] for tag in answer["TagSet"]})}


def _may_be_the_tags(features: Features, error: StorageError) -> bool:
    """Whether the tags may be the reason for a refusal. An invalid tag is not: then the store has tags, and
    the operator needs to see the error."""
    if outcome_is_unknown(error) or has_code(error, "InvalidTag"):
        return False
    return may_lack_feature(features, Feature.TAGS, error)
