"""Cuts events into the batches that a service takes, and names what keeps their order. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from s3sftp.events.cloud_event import CloudEvent

MAX_ENTRIES: Final = 10
MAX_BATCH_BYTES: Final = 256 << 10
"""What SQS, SNS and EventBridge all take in one request, and so in one event, by their bytes."""

_TOKEN = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One event in the form that a service takes."""

    index: int
    """Its position among the events of the delivery."""
    fields: dict[str, Any]
    size: int
    """Bytes that it counts in a batch."""


def batches(entries: Iterable[BatchEntry]) -> Iterator[list[BatchEntry]]:
    """The entries in their order, in batches of at most MAX_ENTRIES and MAX_BATCH_BYTES. Each entry by itself
    has to fit."""
    batch: list[BatchEntry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == MAX_ENTRIES or size + entry.size > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def attributes_of(event: CloudEvent) -> dict[str, dict[str, str]]:
    """The attributes of a message, by which subscribers filter without reading it."""
    texts = {"kind": str(event.kind)}
    if user := user_of(event):
        texts["user"] = user
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


def attributes_size(attributes: dict[str, dict[str, str]]) -> int:
    """The bytes that attributes count in a message: names, types and values."""
    return sum(
        len(name) + sum(len(text.encode()) for text in value.values()) for name, value in attributes.items()
    )


def user_of(event: CloudEvent) -> str:
    """The user of an event, in characters that a service takes; empty if it has none."""
    return _clean(str(event.data.get("user") or ""))


def group_of(event: CloudEvent, group_by: Literal["user", "path", "all"]) -> str:
    """The message group of an event in a FIFO queue or topic."""
    match group_by:
        case "user":
            return token(user_of(event) or "-")
        case "path":
            return token(_clean(event.subject) or "-")
        case "all":
            return "s3sftp"


def deduplication_id(event: CloudEvent) -> str:
    """What is the same for all attempts to send an event: a FIFO queue drops the second within 5 minutes."""
    return hashlib.sha256(f"{event.source}\n{event.id}".encode("utf-8", "replace")).hexdigest()


def token(text: str) -> str:
    """The text if it may be a message group, else its hash."""
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def _clean(text: str) -> str:
    """The text without what no message may contain: characters that XML 1.0 has not."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", readable)
