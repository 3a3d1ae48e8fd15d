"""Tags of objects, and stores that have none: then what would be tagged is stored without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlencode

from s3sftp.backends.s3.errors import has_code, has_status, is_outcome, may_lack_feature, outcome_is_unknown
from s3sftp.backends.s3.features import Feature, Features
from s3sftp.errors import StorageError

Answer = dict[str, Any]
Ask = Callable[..., Awaitable[Answer]]


class _Store(Protocol):
    @property
    def features(self) -> Features: ...
    async def call(self, api: str, **parameters: Any) -> Answer: ...


async def send_tagged(ask: Ask, features: Features, api: str, **parameters: Any) -> Answer:
    """Send a request that tags what it makes; without the tags where the store has none. Whether it is they
    that it refuses is known when it takes the same request without. Raises StorageError: that of the first,
    unless the second may have been carried out."""
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


async def tags_of(store: _Store, key: str) -> Answer:
    """The field that gives a new object the tags of another; empty where the store has none."""
    if not store.features.has(Feature.TAGS):
        return {}
    try:
        answer = await store.call("GetObjectTagging", Key=key)
    except StorageError as error:
        if not has_status(error, 405, 501):
            raise
        store.features.lacks(Feature.TAGS, error.detail)
        return {}
    return {"Tagging": urlencode({tag["Key"]: tag["Value"] for tag in answer["TagSet"]})}


def _may_be_the_tags(features: Features, error: StorageError) -> bool:
    """Not when it says that one of them is wrong: then it has them, and the operator wants to know."""
    if outcome_is_unknown(error) or has_code(error, "InvalidTag"):
        return False
    return may_lack_feature(features, Feature.TAGS, error)
