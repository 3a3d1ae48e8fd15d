"""Settles changes that were begun and of which nobody has said what became of them.

each old change   look at what is stored ─► events for the sinks, or nothing
                  what cannot be looked at now waits; nothing else waits for it
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final

from s3sftp.backends import Place
from s3sftp.backends.small_objects import ListedEntry, SmallObjects
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.outbox.backlog import set_unreadable_aside
from s3sftp.events.outbox.entries import (
    ChangeEntry,
    WaitingEntry,
    change_folder,
    entry_name,
    sink_folder,
)
from s3sftp.events.outbox.failure_reports import FailureReports
from s3sftp.events.outbox.settling import Found, StorageGone, Verdict, settle
from s3sftp.runtime.concurrency import for_each
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
Look = Callable[[Place], Awaitable[Found | None]]
"""Asks the storage what is at a place. Raises StorageError: if it fails; StorageGone: if there is none."""
_PAGE: Final = 100
_AT_ONCE: Final = 8
_CLOCK_SLACK: Final = 300.0
"""Seconds by which the clock of another storage may differ from that of the outbox."""


class UnfinishedChanges:
    """The entries of changes, of any instance that this process holds the lease of."""

    def __init__(
        self, objects: SmallObjects, look: Look, reports: FailureReports, takeover_seconds: float
    ) -> None:
        self._objects = objects
        self._look = look
        self._reports = reports
        self._seconds = takeover_seconds

    async def settle_all(self, instance: str, but: Collection[str]) -> bool:
        """Settle the changes of an instance, without those whose keys are in `but`. Returns whether none is
        left: none is too new, or cannot be looked at. Raises StorageError: if the store does not list them.
        """
        after: str | None = None
        is_done = True
        while True:
            page = await self._objects.page(change_folder(instance), after=after, most=_PAGE)
            old = [each for each in page.entries if page.now - each.modified >= self._seconds]
            old = [each for each in old if each.key not in but]
            is_done &= len(old) == len([each for each in page.entries if each.key not in but])
            left: list[ListedEntry] = []
            await for_each(old, partial(self._try_to_settle, instance, left), _AT_ONCE)
            is_done &= not left
            after = page.next
            if after is None:
                return is_done

    async def _try_to_settle(self, instance: str, left: list[ListedEntry], listed: ListedEntry) -> None:
        """Settle a change, or add it to what is left."""
        left.append(listed)
        with self._reports.of(listed.key):
            await self._settle(instance, listed)
            left.remove(listed)

    async def _settle(self, instance: str, listed: ListedEntry) -> None:
        text = await self._objects.read(listed.key)
        if text is None:
            return
        try:
            entry = ChangeEntry.from_json(text)
        except ValueError as problem:
            await set_unreadable_aside(self._objects, listed.key, text, problem)
            return
        verdict, found = await self._verdict_of(entry, listed.modified)
        _log.info("events.settled", instance=instance, outcome=verdict.value, action=entry.check.action)
        if verdict is not Verdict.NOT:
            for delivery in entry.deliveries:
                event = settled_event(delivery.event, verdict, found)
                for sink in delivery.sinks:
                    key = sink_folder(instance, sink) + entry_name(event)
                    await self._objects.put(key, WaitingEntry(event).to_json())
        await self._objects.delete(listed.key)

    async def verdict_on(self, key: str, entry: ChangeEntry) -> tuple[Verdict, Found | None]:
        """What became of the change whose entry has this key, and the file that tells. Raises StorageError:
        if the store fails."""
        page = await self._objects.page(key, most=1)
        return await self._verdict_of(entry, page.entries[0].modified if page.entries else 0.0)

    async def _verdict_of(self, entry: ChangeEntry, written: float) -> tuple[Verdict, Found | None]:
        check = entry.check
        try:
            at_target = None if check.target is None else await self._look(check.target)
            at_place = await self._look(check.place)
        except StorageGone:
            return Verdict.UNKNOWN, None
        is_elsewhere = any(place is not None and place.storage for place in (check.place, check.target))
        verdict = settle(check, at_place, at_target, written, _CLOCK_SLACK if is_elsewhere else 0.0)
        return verdict, at_place if check.action == "commit" else at_target


def settled_event(event: CloudEvent, verdict: Verdict, found: Found | None) -> CloudEvent:
    """The event of a change, with what the stored file tells of it."""
    data = {**event.data, "certainty": verdict.value}
    if verdict is Verdict.HAPPENED and found is not None and not found.is_dir:
        etag = None if found.version is None else found.version.removeprefix("W/").strip('"')
        known = {"size": found.size, "etag": etag, "version_id": found.version_id}
        data |= {name: value for name, value in known.items() if value is not None}
    return replace(event, data=data)
