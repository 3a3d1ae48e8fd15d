"""Announces what users do to the sinks: the one place at which the server makes events for other systems.

change = announcer.upload(…)         who wants to know of it? nobody: every step below does nothing
await change.begin(check)            its entry is in the outbox, before anything changes
…commit…
change.happened(size=…, etag=…)      its events go to the sinks, without waiting
await change.acknowledge()           the synchronous sinks, before the client gets its answer

change.nothing_happened()            instead: the entry is removed
change.in_doubt(…)                   instead: what is stored decides, a while later

announcer.tell(…)                    what changes nothing: a download, a failed upload, a login
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from s3sftp.backends import CompleteBackend, Place, Session
from s3sftp.backends.router import backend_at
from s3sftp.errors import StorageError, StorageFailure, describe_unexpected
from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.dispatcher import EventDispatcher
from s3sftp.events.outbox.entries import AddressedEvent, ChangeEntry, Check, change_folder
from s3sftp.events.outbox.settling import Verdict
from s3sftp.events.outbox.unfinished_changes import settled_event
from s3sftp.events.routes import Routes, SinkNames
from s3sftp.events.sink_queue import CoveredChange, WaitingEvent
from s3sftp.telemetry import current_trace_context, get_logger

_log = get_logger("s3sftp.events")


class AnnouncedChange:
    """A change of what is stored, from before it is made until its events are on their way."""

    def __init__(
        self, dispatcher: EventDispatcher | None, deliveries: Iterable[tuple[CloudEvent, SinkNames]]
    ) -> None:
        self._dispatcher = dispatcher
        self._deliveries = [(event, names) for event, names in deliveries if names]
        self._key: str | None = None
        self._entry: ChangeEntry | None = None
        self._awaited: list[tuple[str, CloudEvent]] = []
        self._pending: CoveredChange | None = None
        self.is_in_doubt = False
        """Whether it is not known yet what became of it."""

    @property
    def is_wanted(self) -> bool:
        """Whether any sink wants to know of it."""
        return bool(self._deliveries)

    @property
    def has_begun(self) -> bool:
        """Whether its entry is in the outbox, and nobody has said what became of it."""
        return self._key is not None

    async def begin(self, check: Check, **facts: Any) -> None:
        """Write the entry, which one PutObject makes durable. May be called again, if the change is made
        elsewhere in the end. `facts` are what is known already of the event's data.

        Raises StorageError: if it cannot be written; then nothing may be changed.
        """
        if self._dispatcher is None or not self._deliveries:
            return
        self._deliveries = [
            (replace(event, data=_merged(event.data, facts)), names) for event, names in self._deliveries
        ]
        self._entry = ChangeEntry([AddressedEvent(event, names) for event, names in self._deliveries], check)
        self._key = await self._dispatcher.own.note(self._entry, self._key)

    def happened(self, **facts: Any) -> None:
        """The change is made. `facts` complete the data of its events."""
        if self._dispatcher is None or not self._deliveries:
            return
        data = {"certainty": Verdict.HAPPENED.value, **facts}
        deliveries = [
            (replace(event, data=_merged(event.data, data)), names) for event, names in self._deliveries
        ]
        self._deliver(deliveries)

    def _deliver(self, deliveries: Sequence[tuple[CloudEvent, SinkNames]]) -> None:
        dispatcher = self._dispatcher
        assert dispatcher is not None  # noqa: S101
        all_names = [name for _, names in deliveries for name in names]
        self._pending = CoveredChange(self._key, set(all_names))
        self._key, self._deliveries = None, []
        synchronous = dispatcher.synchronous(all_names)
        self._awaited = [
            (name, event) for event, names in deliveries for name in names if name in synchronous
        ]
        queued = [(event, [name for name in names if name not in synchronous]) for event, names in deliveries]
        dispatcher.happened(self._pending, queued)

    async def acknowledge(self) -> None:
        """Have the synchronous sinks accept the event. Raises StorageFailure: if one does not; the event then
        is delivered later. Whoever calls this has to call `leave` afterwards, in any case."""
        if self._dispatcher is None or self._pending is None or not self._awaited:
            return
        asked = [self._ask(self._dispatcher, *each) for each in self._awaited]
        failures = [each for each in await asyncio.gather(*asked) if each is not None]
        if failures:
            raise StorageFailure(
                "the file is stored, but what was to follow failed", detail=describe_unexpected(failures[0])
            ) from failures[0]

    async def _ask(self, dispatcher: EventDispatcher, name: str, event: CloudEvent) -> Exception | None:
        """Ask one sink. A client that leaves before this runs at all has it asked by `leave`."""
        self._awaited.remove((name, event))
        return await dispatcher.ask(name, WaitingEvent(event, change=self._pending))

    def leave(self) -> None:
        """Nobody waits for the synchronous sinks any more: they get the event as all others do."""
        if self._dispatcher is not None and self._pending is not None and self._awaited:
            awaited, self._awaited = self._awaited, []
            for name, event in awaited:
                self._dispatcher.queues[name].put(WaitingEvent(event, change=self._pending))

    def nothing_happened(self) -> None:
        """The change is not made, for certain: remove its entry."""
        if self._dispatcher is not None and self._key is not None:
            self._dispatcher.forget(self._key)
        self._key, self._deliveries = None, []

    def in_doubt(self, otherwise: Callable[[], None]) -> None:
        """The store may have made the change although it did not say so. What is stored decides, a while
        later; `otherwise` is called if it certainly has not happened. If the server stops before, the next
        process decides, unless it has happened already: the store may still be at work."""
        if self._dispatcher is None or self._key is None or self._entry is None:
            otherwise()
            return
        self.is_in_doubt = True
        self._dispatcher.decide_later(lambda: self._decide(otherwise))

    def made_again(self) -> AnnouncedChange | None:
        """This change, which is in doubt, for another attempt: with the same events, so that receivers know
        them again, and the same entry, which tells whether any attempt has made it. It is not decided for
        this one any more. None: if it has been decided, or another process may have its entry."""
        own = None if self._dispatcher is None else self._dispatcher.own
        if own is None or self._key is None or not own.lease.is_fresh:
            return None
        if not self._key.startswith(change_folder(own.instance)):
            return None
        again = copy(self)
        again.is_in_doubt = False
        self._key, self._deliveries = None, []
        return again

    async def _decide(self, otherwise: Callable[[], None]) -> None:
        """Raises StorageError: if the store fails."""
        assert self._dispatcher is not None and self._entry is not None  # noqa: S101, PT018
        if self._key is None:
            return
        try:
            verdict, found = await self._dispatcher.takeover.changes.verdict_on(self._key, self._entry)
        except StorageError:
            if self._dispatcher.is_stopping:
                return
            raise
        if self._dispatcher.is_stopping and verdict is not Verdict.HAPPENED:
            return  # the entry stays, and so does the lease
        if verdict is Verdict.NOT:
            self.nothing_happened()
            otherwise()
            return
        self._deliver([(settled_event(each, verdict, found), names) for each, names in self._deliveries])
        self.leave()


def etag_of(version: str | None) -> str | None:
    """The version of an object as S3's own events have it: without quotes."""
    return None if version is None else version.removeprefix("W/").strip('"')


def _merged(data: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, **{name: value for name, value in facts.items() if value is not None}}


NO_CHANGE = AnnouncedChange(None, ())
"""A change of which nobody wants to know."""


class Announcer:
    """Makes the events of one server. Without a dispatcher, it makes none."""

    def __init__(
        self, routes: Routes, source: str, backend: CompleteBackend | None, dispatcher: EventDispatcher | None
    ) -> None:
        self.routes = routes
        self._source = source
        self._backend = backend
        self._dispatcher = dispatcher

    def upload(self, path: str, place: Place, session: Session) -> AnnouncedChange:
        """An upload that is about to be committed."""
        names = self.routes.of(EventKind.UPLOAD_COMMITTED, path)
        return self._change([(EventKind.UPLOAD_COMMITTED, path, self._at(place), names)], session)

    def removal(self, path: str, place: Place, session: Session) -> AnnouncedChange:
        """A file that is about to be removed."""
        names = self.routes.of(EventKind.FILE_REMOVED, path)
        return self._change([(EventKind.FILE_REMOVED, path, self._at(place), names)], session)

    def may_tell_of_rename(self, source: str, target: str) -> bool:
        """Whether any sink may want to know of a rename, be it of a file or of a directory."""
        file, directory = (self.routes.of_rename(source, target, is_dir=is_dir) for is_dir in (False, True))
        return bool(file.renamed or file.committed or directory.renamed)

    def rename(
        self,
        source: str,
        target: str,
        from_place: Place,
        to_place: Place,
        session: Session,
        *,
        is_dir: bool,
    ) -> AnnouncedChange:
        """A file or a directory that is about to be renamed."""
        route = self.routes.of_rename(source, target, is_dir=is_dir)
        kind = EventKind.DIRECTORY_RENAMED if is_dir else EventKind.FILE_RENAMED
        origin = {"source_path": source} | {
            f"source_{name}": value for name, value in self._at(from_place).items() if name != "bucket"
        }
        data = self._at(to_place) | origin
        return self._change(
            [
                (kind, target, data, route.renamed),
                (EventKind.UPLOAD_COMMITTED, target, data, route.committed),
            ],
            session,
        )

    def tell(
        self,
        kind: EventKind,
        session: Session,
        path: str | None = None,
        place: Place | None = None,
        **data: Any,
    ) -> None:
        """Announce what has changed nothing."""
        if self._dispatcher is None or not (names := self.routes.of(kind, path)):
            return
        where = {} if place is None else self._at(place)
        event = self._event(kind, path, session, _merged(where, data))
        self._dispatcher.told(event, names)

    def tell_login(self, succeeded: bool, user: str, peer: str, facts: Mapping[str, Any]) -> None:
        """Announce a login."""
        kind = EventKind.LOGIN_SUCCEEDED if succeeded else EventKind.LOGIN_FAILED
        self.tell(kind, Session(user, peer), **facts)

    async def tell_for_good(self, event: CloudEvent) -> None:
        """Announce what nobody will announce again, such as a file that is missing. It is in the outbox when
        this returns.

        Raises StorageError: if it cannot be kept there.
        """
        if self._dispatcher is not None:
            await self._dispatcher.told_for_good(event, self.routes.of(event.kind, event.subject))

    def _change(
        self, told: Iterable[tuple[EventKind, str, Mapping[str, Any], SinkNames]], session: Session
    ) -> AnnouncedChange:
        if self._dispatcher is None:
            return NO_CHANGE
        wanted = [each for each in told if each[3]]
        if not wanted:
            return NO_CHANGE
        return AnnouncedChange(
            self._dispatcher,
            [(self._event(kind, path, session, data), names) for kind, path, data, names in wanted],
        )

    def _event(
        self, kind: EventKind, path: str | None, session: Session, data: Mapping[str, Any]
    ) -> CloudEvent:
        who = {"user": session.user, "path": path, "peer": session.peer, "session": session.session_id}
        return CloudEvent(
            uuid.uuid4().hex,
            kind,
            self._source,
            session.user if path is None else path,
            time.time(),
            _merged({name: value for name, value in who.items() if value}, data),
            current_trace_context().get("traceparent"),
        )

    def _at(self, place: Place) -> dict[str, Any]:
        storage = {"storage": place.storage} if place.storage else {}
        if self._backend is None:
            return storage
        address = backend_at(self._backend, place).object_at(Place(place.names))
        if address is None:
            return storage
        return {**storage, "bucket": address.bucket, "key": address.key}


SILENT = Announcer(Routes(()), "", None, None)
"""Announces nothing."""
