"""What the looks of `check` have in common: small objects that are written, and words for what is refused."""

from __future__ import annotations

import uuid
from typing import Any, Final

from s3sftp.backends.findings import Finding, State
from s3sftp.backends.s3.advice import advice_on
from s3sftp.backends.s3.bodies import MemoryBody
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.failures import Trouble, cause_of
from s3sftp.backends.s3.features import LOST, Feature
from s3sftp.backends.s3.objects import new_object
from s3sftp.backends.s3.options import MIB
from s3sftp.backends.s3.proven import proven
from s3sftp.backends.s3.received import body_of, read_all
from s3sftp.errors import NotFound, StorageError

CONTENT: Final = b"written by s3sftp check; safe to delete\n"


async def put(store: Store, key: str, **conditions: Any) -> Answer:
    """Write an object as the server does. Raises StorageError."""
    fields = new_object(store.options, str(uuid.uuid4()), None) | conditions
    answer, _ = await proven(
        store,
        CONTENT,
        lambda proof: store.call("PutObject", Key=key, Body=MemoryBody(CONTENT), **fields, **proof),
    )
    return answer


async def content(store: Store, answer: Answer) -> bytes:
    """The body of an answer to GET. Raises StorageError."""
    return await read_all(body_of(answer), MIB, store.options.stall_timeout.total_seconds())


async def is_there(store: Store, key: str) -> bool:
    """Whether the store says that there is such an object. Raises StorageError."""
    try:
        await store.call("HeadObject", Key=key)
    except NotFound:
        return False
    return True


def refused(what: str, error: StorageError, advice: str = "", *, state: State = "failed") -> Finding:
    """What the store said; `advice` is for a failure that does not tell by itself what to do about it."""
    trouble = cause_of(error)
    text = f"{error} ({said(trouble)})" if trouble is not None else str(error)
    return Finding(what, state, text, advice_on(error) or advice)


def said(trouble: Trouble) -> str:
    """An answer in a word or two."""
    status = f", HTTP {trouble.status}" if trouble.status and str(trouble.status) != trouble.code else ""
    return f"{trouble.api}: {trouble.code}{status}"


def missing(store: Store, what: str, feature: Feature, text: str) -> Finding:
    """A feature that the store was seen to lack: the server does without, and loses something."""
    store.features.lacks(feature, text)
    return Finding(what, "warning", text, f's3.lacks = ["{feature}"]: {LOST[feature]}')


def told(store: Store, what: str, feature: Feature) -> Finding | None:
    """What is not tried, because the store is known to lack it: by the options, by its name, or by an earlier
    answer."""
    if store.features.has(feature):
        return None
    if feature in store.options.lacks:
        return Finding(what, "ok", f"not tried: s3.lacks names {feature}")
    return Finding(
        what, "warning", f"the store lacks {feature}", f's3.lacks = ["{feature}"]: {LOST[feature]}'
    )
