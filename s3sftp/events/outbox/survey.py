"""Reads the whole outbox for an operator, page by page, and offers refused events again."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from s3sftp.backends.small_objects import ListedEntry, SmallObjects
from s3sftp.errors import AlreadyExists
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.outbox.entries import (
    CHANGES,
    ENTRIES,
    LEASES,
    REFUSED,
    ChangeEntry,
    WaitingEntry,
    id_in,
    sink_folder,
    time_in,
)


@dataclass(frozen=True, slots=True)
class OutboxLine:
    """One event in the outbox, for one sink."""

    state: str
    """`beginning`: its change is about to be made, or was just made; `waiting` for the sink; `refused`."""
    sink: str
    id: str
    time: float
    """When it happened, in seconds since the epoch."""
    event: CloudEvent | None
    """None: it cannot be read."""
    attempts: int = 0
    reason: str | None = None
    key: str = ""


async def waiting_events(objects: SmallObjects) -> AsyncGenerator[OutboxLine]:
    """Yield what is in the outbox, by instance and sink, the oldest first in each. A page of keys is in
    memory at once. Raises StorageError: if the store fails."""
    for prefix in (ENTRIES, REFUSED):
        async with aclosing(_entries(objects, prefix)) as found:
            async for listed in found:
                text = await objects.read(listed.key)
                if text is not None:  # else it has been delivered meanwhile
                    for line in _lines(listed.key, text):
                        yield line


async def replay_refused(objects: SmallObjects, ids: frozenset[str] | None) -> AsyncGenerator[OutboxLine]:
    """Offer refused events again: those with these ids, or all. Yields each one that was put back.

    The servers adopt them at their next look. Raises StorageError: if the store fails.
    """
    instance = uuid.uuid4().hex
    has_lease = False
    async with aclosing(_entries(objects, REFUSED)) as found:
        async for listed in found:
            if ids is not None and id_in(listed.key) not in ids:
                continue
            text = await objects.read(listed.key)
            if text is None:
                continue
            (line,) = _lines(listed.key, text)
            if line.event is None:
                continue
            name = listed.key.rpartition("/")[2]
            await objects.put(sink_folder(instance, line.sink) + name, WaitingEntry(line.event).to_json())
            if not has_lease:
                has_lease = True
                await _ask_for_adoption(objects, instance)
            await objects.delete(listed.key)
            yield line
    if has_lease:  # a server may have adopted the first ones, and have seen the folder empty
        await _ask_for_adoption(objects, instance)


async def _ask_for_adoption(objects: SmallObjects, instance: str) -> None:
    try:
        await objects.put(LEASES + instance, b"", is_new=True)
    except AlreadyExists:
        return


async def _entries(objects: SmallObjects, prefix: str) -> AsyncGenerator[ListedEntry]:
    after: str | None = None
    while True:
        page = await objects.page(prefix, after=after, most=1000)
        for each in page.entries:
            yield each
        after = page.next
        if after is None:
            return


def _lines(key: str, text: bytes) -> list[OutboxLine]:
    folder = key.split("/")[-2]
    state = "refused" if key.startswith(REFUSED) else "waiting"
    try:
        if folder == CHANGES:
            return [
                OutboxLine("beginning", sink, each.event.id, each.event.time, each.event, key=key)
                for each in ChangeEntry.from_json(text).deliveries
                for sink in each.sinks
            ]
        entry = WaitingEntry.from_json(text)
    except ValueError as problem:
        return [OutboxLine(state, folder, id_in(key), time_in(key), None, reason=str(problem), key=key)]
    event = entry.event
    return [OutboxLine(state, folder, event.id, event.time, event, entry.attempts, entry.reason, key)]
